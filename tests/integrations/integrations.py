"""Tries what users put into their pipelines. `run` installs the tools and starts this."""

import contextlib
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from functools import partial
from pathlib import Path

import ruamel.yaml

BINARY, CACHE, KUBECTL, HELM = (Path(argument) for argument in sys.argv[1:5])
CHECKOUT = Path(__file__).resolve().parents[2]
VERSION = re.search(r'^version = "(.*)"$', (CHECKOUT / "Cargo.toml").read_text(), re.M)[1]
TOOLS = CACHE / "venv/bin"

ROLE = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}}}
rules:
- apiGroups: [""]
  resources: [users]
  verbs: [impersonate]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {name}}}
subjects:
- {{kind: Group, apiGroup: rbac.authorization.k8s.io, name: {name}}}
"""


def load(path: Path) -> dict:
    return ruamel.yaml.YAML(typ="safe").load(path.read_text())


def run(*command: object, cwd: Path, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **(env or {})}
    return subprocess.run([str(part) for part in command], cwd=cwd, env=environment, input=stdin, capture_output=True, text=True, check=False)


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]
    result = run("git", *identity, *arguments, cwd=directory)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@contextlib.contextmanager
def serve(directory: Path):
    """Serves a directory on a local port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Case(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name).resolve()

    def repository(self, *names: str) -> Path:
        """A repository with a grant for each of the names."""
        directory = self.root / "repository"
        directory.mkdir()
        for name in names:
            (directory / f"{name}.yaml").write_text(ROLE.format(name=name))
        (directory / "README.md").write_text("Manifests\n")
        git(directory, "init", "-q")
        git(directory, "add", ".")
        git(directory, "commit", "-qm", "Add manifests")
        return directory

    def release(self) -> tuple[Path, str]:
        """A directory as releases have it, with the binary under test in the archive; and the archive's checksum."""
        machine = os.uname().machine.replace("arm64", "aarch64")
        name = f"deputize-{VERSION}-{machine}-unknown-linux-musl"
        directory = self.root / f"releases/v{VERSION}"
        directory.mkdir(parents=True)
        with tarfile.open(directory / f"{name}.tar.gz", "w:gz", compresslevel=1) as archive:
            archive.add(BINARY, f"{name}/deputize")
            for licence in ["LICENSE-MIT", "LICENSE-APACHE"]:
                archive.add(CHECKOUT / licence, f"{name}/{licence}")
        digest = hashlib.sha256((directory / f"{name}.tar.gz").read_bytes()).hexdigest()
        (directory / "SHA256SUMS").write_text(f"{'0' * 64}  other.tar.gz\n{digest}  {name}.tar.gz\n")
        return directory.parent, digest

    def with_binary(self) -> dict[str, str]:
        """An environment in which the binary under test is on PATH, as deputize and as a plugin of kubectl."""
        directory = self.root / "bin"
        directory.mkdir(exist_ok=True)
        for name in ["deputize", "kubectl-deputize"]:
            with contextlib.suppress(FileExistsError):
                (directory / name).symlink_to(BINARY)
        return {"PATH": f"{directory}:{KUBECTL.parent}:{os.environ['PATH']}"}


class PreCommit(Case):
    def try_repo(self, directory: Path, hook: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        env = {**env, "PRE_COMMIT_HOME": str(self.root / "pre-commit")}
        return run(TOOLS / "pre-commit", "try-repo", "--verbose", CHECKOUT, hook, cwd=directory, env=env)

    def test_installed_program(self) -> None:
        directory = self.repository("support")
        result = self.try_repo(directory, "deputize-system", self.with_binary())
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("unrestricted-users", result.stdout)
        # The whole directory is looked at, not the files of the commit.
        (directory / "README.md").write_text("Changed\n")
        git(directory, "add", "README.md")
        self.assertEqual(self.try_repo(directory, "deputize-system", self.with_binary()).returncode, 1)
        (directory / "support.yaml").unlink()
        git(directory, "add", "-u")
        result = self.try_repo(directory, "deputize-system", self.with_binary())
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_built_by_pre_commit(self) -> None:
        # As users have it, but for the time that optimizing takes.
        env = {"CARGO_TARGET_DIR": str(CACHE / "target"), "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0", "CARGO_PROFILE_RELEASE_LTO": "off"}
        env |= {"CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "256"}
        directory = self.repository("support")
        result = self.try_repo(directory, "deputize", env)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("unrestricted-users", result.stdout)


class Action(Case):
    """Runs the steps of action.yml as a runner does."""

    def setUp(self) -> None:
        super().setUp()
        self.action = load(CHECKOUT / "action.yml")

    def start(self, directory: Path, inputs: dict[str, str], env: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        """Returns the exit status of the first step that fails, what the steps printed, and the outputs."""
        values = {name: str(given.get("default", "")) for name, given in self.action["inputs"].items()}
        self.assertLessEqual(inputs.keys(), values.keys())
        values |= inputs
        outputs: dict[str, dict[str, str]] = {}
        known = {"github.action_path": str(CHECKOUT), "github.action_repository || github.repository": "owner/deputize"}
        known |= {f"inputs.{name}": value for name, value in values.items()}

        def evaluate(text: str) -> str:
            return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: known[found[1]], str(text))

        runner = Path(tempfile.mkdtemp(dir=self.root))
        files = {name: runner / name.lower() for name in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"]}
        env = {"PATH": os.environ["PATH"], **env, "GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(runner), **{name: str(path) for name, path in files.items()}}
        env |= {"GITHUB_SERVER_URL": "http://127.0.0.1:1", "GITHUB_WORKSPACE": str(directory)}
        printed, status = "", 0
        for step in self.action["runs"]["steps"]:
            self.assertEqual(step["shell"], "bash")
            # An input in the text of a script would be code.
            self.assertNotIn("${{", step["run"])
            files["GITHUB_OUTPUT"].write_text("")
            script = runner / "step.sh"
            script.write_text(step["run"])
            own = {name: evaluate(value) for name, value in step.get("env", {}).items()}
            where = directory / evaluate(step.get("working-directory", "."))
            result = run("bash", "--noprofile", "--norc", "-eo", "pipefail", script, cwd=where, env=env | own)
            printed += result.stdout + result.stderr
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs[step.get("id", "")] = dict(line.split("=", 1) for line in lines)
            known |= {f"steps.{step.get('id')}.outputs.{name}": value for name, value in outputs[step.get("id", "")].items()}
            if result.returncode != 0:
                status = result.returncode
                break
        declared = {}
        for name, output in self.action["outputs"].items():
            with contextlib.suppress(KeyError):
                declared[name] = evaluate(output["value"])
        declared.pop("program", None)
        self.summary = files["GITHUB_STEP_SUMMARY"]
        return status, printed, declared

    def test_release(self) -> None:
        directory = self.repository("support")
        releases, digest = self.release()
        with serve(releases) as address:
            # Nothing of deputize is on PATH.
            status, printed, outputs = self.start(directory, {"releases": address}, {})
            self.assertEqual(status, 1, printed)
            self.assertEqual(outputs, {"exit-status": "1", "sarif": "deputize.sarif"})
            self.assertIn("::error file=support.yaml,line=7,", printed)
            self.assertIn("| `unrestricted-users` |", self.summary.read_text())
            sarif = json.loads((directory / "deputize.sarif").read_text())
            self.assertEqual([result["ruleId"] for result in sarif["runs"][0]["results"]], ["unrestricted-users"])
            status, printed, outputs = self.start(directory, {"releases": address, "sha256": digest, "fail-on": "never", "sarif": ""}, {})
            self.assertEqual((status, outputs), (0, {"exit-status": "0"}), printed)
            # Nothing runs whose checksum is another one, or that is not there.
            for inputs, why in [({"sha256": digest[::-1]}, "the SHA-256 of"), ({"version": "9.9.9"}, "cannot be downloaded")]:
                status, printed, outputs = self.start(directory, {"releases": address, **inputs}, {})
                self.assertEqual((status, outputs), (2, {}), printed)
                self.assertIn(why, printed)

    def test_pull_request(self) -> None:
        directory = self.repository("support")
        origin = self.root / "origin"
        git(self.root, "clone", "-q", "--bare", str(directory), str(origin))
        clone = self.root / "clone"
        git(self.root, "clone", "-q", "--depth=1", f"file://{origin}", str(clone))
        git(clone, "checkout", "-qb", "change")
        (clone / "second.yaml").write_text(ROLE.format(name="second"))
        git(clone, "add", ".")
        git(clone, "commit", "-qm", "Add a grant")
        environment = self.with_binary()
        status, printed, _ = self.start(clone, {"install": "none", "diff-base": "auto"}, environment | {"GITHUB_BASE_REF": "main"})
        self.assertEqual(status, 1, printed)
        self.assertIn("file=second.yaml", printed)
        self.assertNotIn("file=support.yaml", printed)
        # Without a target branch, as after a merge, everything is reported.
        _, printed, _ = self.start(clone, {"install": "none", "diff-base": "auto"}, environment)
        self.assertIn("file=support.yaml", printed)

    def test_other_inputs(self) -> None:
        directory = self.repository("support", "second")
        environment = self.with_binary()
        (directory / "accept.toml").write_text('[[accept]]\nrule = "unrestricted-users"\nreason = "known"\n')
        inputs = {"install": "none", "working-directory": "..", "paths": "repository/support.yaml\nrepository/second.yaml\n"}
        status, printed, _ = self.start(directory, {**inputs, "config": "repository/accept.toml"}, environment)
        self.assertEqual(status, 0, printed)
        status, printed, _ = self.start(directory, {**inputs, "arguments": "--ignore=unrestricted-users\n--fail-on=note"}, environment)
        self.assertEqual(status, 0, printed)
        run(BINARY, "check", "--write-baseline", "known.json", cwd=directory)
        status, printed, _ = self.start(directory, {"install": "none", "baseline": "known.json"}, environment)
        self.assertEqual(status, 0, printed)

    def test_inputs_are_no_code(self) -> None:
        directory = self.repository("support")
        hostile = f"$(touch {self.root}/owned); touch {self.root}/owned\n`touch {self.root}/owned`"
        for name in self.action["inputs"]:
            if name != "working-directory":
                self.start(directory, {"install": "none", name: hostile}, self.with_binary())
        self.assertFalse((self.root / "owned").exists())


class GitLab(Case):
    def test_job(self) -> None:
        template = CHECKOUT / "integrations/gitlab/deputize.gitlab-ci.yml"
        result = run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", template, cwd=self.root)
        self.assertEqual(result.returncode, 0, result.stdout)
        job = load(template)["deputize"]
        directory = self.repository("support")
        script = "set -e\n" + "\n".join(job["script"])
        variables = {"PATH": os.environ["PATH"], **job["variables"], "CI": "true", "GITLAB_CI": "true"}
        self.assertEqual(variables["DEPUTIZE_VERSION"], VERSION)
        variables["DEPUTIZE_TARGET"] = f"{os.uname().machine}-unknown-linux-musl"
        result = run("sh", "-c", script, cwd=directory, env=variables)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("set DEPUTIZE_RELEASES", result.stderr)
        releases, digest = self.release()
        with serve(releases) as address:
            variables["DEPUTIZE_RELEASES"] = address
            result = run("sh", "-c", script, cwd=directory, env=variables | {"DEPUTIZE_SHA256": digest[::-1]})
            self.assertEqual((result.returncode, "support.yaml" in result.stdout), (1, False))
            result = run("sh", "-c", script, cwd=directory, env=variables | {"DEPUTIZE_SHA256": digest})
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("support.yaml:7:11: error[unrestricted-users]", result.stdout)
            # What the job names as a report is what the script writes.
            reports = job["artifacts"]["reports"]
            self.assertEqual(len(json.loads((directory / reports["codequality"]).read_text())), 1)
            self.assertIn("<testsuites", (directory / reports["junit"]).read_text())
            result = run("sh", "-c", script, cwd=directory, env=variables | {"DEPUTIZE_SHA256": digest, "DEPUTIZE_ARGUMENTS": "--fail-on never ."})
            self.assertEqual(result.returncode, 0, result.stderr)


class Linters(Case):
    def test_workflows_and_action(self) -> None:
        # actionlint knows the inputs of an action that is in the repository.
        project = self.root / "project"
        (project / ".github/workflows").mkdir(parents=True)
        git(project, "init", "-q")
        shutil.copy(CHECKOUT / "action.yml", project)
        for workflow in (CHECKOUT / "integrations/github").glob("*.yml"):
            text = workflow.read_text()
            self.assertIn(f"OWNER/deputize@v{VERSION}", text)
            (project / ".github/workflows" / workflow.name).write_text(text.replace(f"OWNER/deputize@v{VERSION}", "./"))
        result = run(CACHE / "go/actionlint", cwd=project)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        workflow = project / ".github/workflows/deputize.yml"
        workflow.write_text(workflow.read_text().replace("diff-base: auto", "no-such-input: auto"))
        self.assertIn("no-such-input", run(CACHE / "go/actionlint", cwd=project).stdout)
        for kind, path in [("github-actions", "action.yml"), ("github-workflows", "integrations/github/deputize.yml"), ("github-workflows", "integrations/github/untrusted.yml")]:
            result = run(TOOLS / "check-jsonschema", "--builtin-schema", f"vendor.{kind}", CHECKOUT / path, cwd=self.root)
            self.assertEqual(result.returncode, 0, result.stdout)
        # What a workflow names is for its owner to pin.
        config = self.root / "zizmor.yml"
        config.write_text('rules:\n  unpinned-uses:\n    config:\n      policies:\n        "*": ref-pin\n')
        paths = [CHECKOUT / "action.yml", *sorted((CHECKOUT / "integrations/github").glob("*.yml"))]
        result = run(TOOLS / "zizmor", "--offline", "--no-progress", "--config", config, *paths, cwd=self.root)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_shell_scripts(self) -> None:
        scripts = [CHECKOUT / "integrations/install", CHECKOUT / "integrations/helm/post-render", *sorted((CHECKOUT / "scripts").iterdir())]
        for number, step in enumerate(load(CHECKOUT / "action.yml")["runs"]["steps"]):
            script = self.root / f"step-{number}"
            script.write_text("#!/usr/bin/env bash\n" + step["run"])
            scripts.append(script)
        result = run("shellcheck", *scripts, cwd=self.root)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_krew_manifest(self) -> None:
        releases, _ = self.release()
        env = {"DEPUTIZE_REPOSITORY": "https://example.com/owner/deputize"}
        result = run(CHECKOUT / "scripts/krew-manifest", releases / f"v{VERSION}", cwd=self.root, env=env)
        self.assertEqual(result.returncode, 0, result.stderr)
        manifest = self.root / "deputize.yaml"
        manifest.write_text(result.stdout)
        validate = [CACHE / "go/validate-krew-manifest", "-skip-install", "-manifest", manifest]
        checked = run(*validate, cwd=self.root)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        manifest.write_text(result.stdout.replace("sha256: ", "sha256: x"))
        self.assertNotEqual(run(*validate, cwd=self.root).returncode, 0)


class Kubernetes(Case):
    def test_plugin_of_kubectl(self) -> None:
        directory = self.repository("support")
        result = run(KUBECTL, "deputize", "check", cwd=directory, env=self.with_binary())
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("unrestricted-users", result.stdout)
        result = run(KUBECTL, "deputize", "check", "--no-such", cwd=directory, env=self.with_binary())
        self.assertEqual(result.returncode, 2)
        self.assertIn("Usage: kubectl deputize check", result.stderr)
        self.assertIn("kubectl-deputize", run(KUBECTL, "plugin", "list", cwd=directory, env=self.with_binary()).stdout)

    def test_pipes(self) -> None:
        chart, overlay = CHECKOUT / "testdata/chart", self.repository("support")
        (overlay / "kustomization.yaml").write_text("resources: [support.yaml]\nnamePrefix: team-\n")
        for producer, expected in [((HELM, "template", "my-release", chart), "ClusterRole"), ((KUBECTL, "kustomize", overlay), "team-support")]:
            produced = run(*producer, cwd=self.root)
            self.assertEqual(produced.returncode, 0, produced.stderr)
            result = run(BINARY, "check", "-", cwd=self.root, stdin=produced.stdout)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(expected, result.stdout)

    def test_post_renderer(self) -> None:
        plugins = self.root / "plugins"
        shutil.copytree(CHECKOUT / "integrations/helm", plugins / "deputize")
        env = self.with_binary() | {"HELM_PLUGINS": str(plugins), "HELM_CACHE_HOME": str(self.root / "helm"), "HELM_CONFIG_HOME": str(self.root / "helm")}
        env["DEPUTIZE_LOG"] = str(self.root / "log")
        plain = run(HELM, "template", "r", CHECKOUT / "testdata/chart", cwd=self.root, env=env)
        command = [HELM, "template", "r", CHECKOUT / "testdata/chart", "--post-renderer", "deputize"]
        result = run(*command, cwd=self.root, env=env)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        self.assertEqual(result.stdout, "")
        self.assertIn("impersonate", (self.root / "log").read_text())
        result = run(*command, "--post-renderer-args", "--fail-on=never", cwd=self.root, env=env)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(load_all(result.stdout)), sorted(load_all(plain.stdout)))

    def test_gitops_examples(self) -> None:
        for directory in ["integrations/argocd", "integrations/flux/check", "deploy"]:
            result = run(KUBECTL, "kustomize", CHECKOUT / directory, cwd=self.root)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"image: deputize:{VERSION}", result.stdout)
            # Arguments that the program does not know would only show in a cluster.
            for document in ruamel.yaml.YAML(typ="safe").load_all(result.stdout):
                spec = document.get("spec", {}).get("jobTemplate", document).get("spec", {}).get("template", {}).get("spec", {})
                for container in spec.get("containers", []):
                    started = run(BINARY, *container["args"], cwd=self.root, env={"KUBECONFIG": str(self.root / "none")})
                    self.assertEqual(started.returncode, 2)
                    self.assertNotIn("Usage:", started.stderr)


class Release(Case):
    def test_archive(self) -> None:
        """Makes a release with the profile that is already built, and looks at what is in it."""
        dist = self.root / "dist"
        env = {name: value for name, value in os.environ.items() if name.startswith(("CARGO", "RUST", "PATH"))}
        env |= {"DEPUTIZE_DIST": str(dist), "DEPUTIZE_PROFILE": "dev"}
        result = run(CHECKOUT / "scripts/release", cwd=self.root, env=env)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        archives = sorted(dist.glob("*.tar.gz"))
        self.assertGreater(len(archives), 0)
        for archive in archives:
            name = archive.name.removesuffix(".tar.gz")
            with tarfile.open(archive) as contents:
                contents.extractall(self.root, filter="data")
            directory = self.root / name
            self.assertEqual(run(directory / "deputize", "--version", cwd=self.root).stdout, f"deputize {VERSION}\n")
            help_text = run(BINARY, "--help", cwd=self.root).stdout
            commands = set(re.findall(r"^  ([a-z]+) ", help_text[: help_text.index("Options:")], re.M)) - {"help"}
            self.assertGreater(len(commands), 10)
            pages = {path.name for path in (directory / "man").iterdir()}
            self.assertEqual(pages, {"deputize.1"} | {f"deputize-{command}.1" for command in commands})
            self.assertEqual(len(list((directory / "completions").iterdir())), 5)
            for path in directory.rglob("*"):
                self.assertTrue(path.is_dir() or path.stat().st_size > 300, path)
        sums = run("sha256sum", "-c", "SHA256SUMS", cwd=dist)
        self.assertEqual(sums.returncode, 0, sums.stdout)
        self.assertEqual(len(sums.stdout.splitlines()), len(list(dist.iterdir())) - 1)
        bill = (dist / f"deputize-{VERSION}.cdx.json").read_text()
        names = {component["name"] for component in json.loads(bill)["components"]}
        self.assertLessEqual({"clap", "kube", "granit-parser"}, names)
        self.assertNotIn("proptest", names)
        self.assertNotIn(str(CHECKOUT), bill)


class Documentation(Case):
    def test_commands_of_the_page(self) -> None:
        """Runs every command of docs/ci.md, in order, in a repository with 40 findings."""
        page = (CHECKOUT / "docs/ci.md").read_text()
        directory = self.repository(*[f"app-{number}" for number in range(40)])
        shutil.copytree(CHECKOUT / "testdata/chart", directory / "my-chart")
        (directory / "my-overlay").mkdir()
        (directory / "my-overlay/kustomization.yaml").write_text("resources: []\n")
        accept = re.search(r"```toml\n(.*?)```", page, re.S)[1]
        # Charts have findings of their own, which the commands are not about.
        (directory / "deputize.toml").write_text('exclude = ["my-chart/"]\n' + accept)
        git(directory, "add", ".")
        git(directory, "commit", "-qm", "Add a configuration")
        origin = self.root / "origin"
        git(self.root, "clone", "-q", "--bare", str(directory), str(origin))
        git(directory, "remote", "add", "origin", f"file://{origin}")
        git(directory, "fetch", "-q", "origin")
        env = self.with_binary() | {"HOME": str(self.root)}
        env["PATH"] = f"{HELM.parent}:{env['PATH']}"
        commands = [line for block in re.findall(r"```console\n(.*?)```", page, re.S) for line in block.splitlines()]
        self.assertGreater(len(commands), 8)
        for command in commands:
            if command.startswith("git show") and "baseline" in command:
                git(directory, "add", ".")
                git(directory, "commit", "-qm", "Add a baseline")
                git(directory, "push", "-q", "origin", "main")
            expected = int((re.search(r"# exit status (\d)", command) or [0, "0"])[1])
            result = run("bash", "-eo", "pipefail", "-c", command.replace("/tmp/", f"{self.root}/"), cwd=directory, env=env)
            # What is piped in here has a finding; in the repository of a reader it may have none.
            allowed = (0, 1) if " | " in command else (expected,)
            self.assertIn(result.returncode, allowed, f"{command}\n{result.stdout}{result.stderr}")
        # The comment hides a finding where it stands in the page.
        comment = re.search(r"```yaml\n(  # deputize: .*?)```", page, re.S)[1]
        noted = directory / "app-2.yaml"
        noted.write_text(noted.read_text().replace("  verbs: [impersonate]\n", comment))
        result = run(BINARY, "check", "app-2.yaml", "--no-config", cwd=directory)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("1 suppressed", result.stderr)


def load_all(text: str) -> list[str]:
    return [json.dumps(document, sort_keys=True) for document in ruamel.yaml.YAML(typ="safe").load_all(text) if document]


unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
