"""Holds what deputize writes against validators that others wrote. `run` installs them and starts this."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import jsonschema
from lxml import etree
from markdown_it import MarkdownIt

BINARY, CACHE = Path(sys.argv[1]), Path(sys.argv[2])
CHECKOUT = Path(__file__).resolve().parents[2]
FORMATS = ["sarif", "gitlab", "junit", "json", "github", "concise"]

# What a name may hold in a manifest. Some of it ends a command, an attribute, a table or a line where it is not escaped.
HOSTILE = [
    "]]>",
    "&amp;<b>'\"",
    "a\0b",
    "\x1b[31mred\x07",
    "\u202egnp.exe\u2066",
    "\ufffe\u0085\u2028",
    "::error file=x,line=1::owned",
    "%0A::warning::owned",
    "one\n::error::two\r\n::stop-commands::x",
    "##[group]x",
    "##vso[task.complete result=Succeeded;]",
    "[a](https://link.example) https://link.example <https://link.example>",
    "![i](https://link.example/i.png) <img src=https://link.example/i.png>",
    "`x` | y || \\| z",
    "# *heading*\n---\n| - | - |",
    "{0} {1}",
    "$(id)",
    "../../etc/passwd",
    "😀 ü",
]

failures: list[str] = []


def fail(where: str, what: object) -> None:
    failures.append(f"{where}: {what}")


def manifest(name: str) -> str:
    """A role and its binding. JSON is YAML, and has a spelling for every character."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"verbs": ["impersonate"], "apiGroups": [""], "resources": ["users", "groups"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}],
    }
    return json.dumps(role) + "\n---\n" + json.dumps(binding) + "\n"


def make_repository(root: Path, name: str) -> Path:
    """A directory that is a repository, so that paths are relative to it."""
    directory = root / name
    (directory / ".git").mkdir(parents=True)
    return directory


def make_cases(root: Path) -> list[tuple[str, Path, list[str], int]]:
    """Makes the inputs: a name, the directory, arguments and the exit status that is expected."""
    cases = []
    platform = make_repository(root, "platform")
    shutil.copytree(CHECKOUT / "testdata/platform", platform / "manifests")
    cases.append(("platform", platform, [], 1))
    # The same with findings that each kind of exception hides.
    hidden = make_repository(root, "hidden")
    shutil.copytree(CHECKOUT / "testdata/platform", hidden / "manifests")
    (hidden / "a.yaml").write_text(
        manifest("noted").replace('"rules"', '\n# deputize: ignore[unrestricted-users, unrestricted-groups] -- a|b <i>&\n"rules"')
    )
    (hidden / "deputize.toml").write_text(
        '[[accept]]\nrule = "unrestricted-groups"\nsubject = { kind = "ServiceAccount", namespace = "login-proxy", name = "login-proxy" }\n'
        'reason = "]]> ::error::x <b> [a](https://link.example)"\nuntil = 2999-12-31\n\n[[accept]]\nrule = "system-masters"\n'
        'object = { kind = "ClusterRole", name = "nowhere" }\nreason = "matches nothing"\n'
    )
    subprocess.run([BINARY, "check", "manifests/charts", "--write-baseline", "known.json"], cwd=hidden, check=True, capture_output=True)
    cases.append(("hidden", hidden, [".", "--baseline", "known.json", "--fail-on", "error"], 1))
    cases.append(("empty", make_repository(root, "empty"), [], 0))
    embedded = make_repository(root, "embedded")
    for name in ["embedded", "chart", "stories"]:
        shutil.copytree(CHECKOUT / "testdata" / name, embedded / name)
    cases.append(("embedded", embedded, [], 1))
    broken = make_repository(root, "broken")
    (broken / "a.yaml").write_text(manifest("whole") + "---\nkind: [\n---\nkind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nrules: no\n")
    (broken / "latin.yaml").write_bytes(b"kind: ClusterRole # \xfc\n")
    cases.append(("broken", broken, [".", "nowhere.yaml"], 2))
    hostile = make_repository(root, "hostile")
    for number, name in enumerate(HOSTILE):
        file = re.sub(r"[/\0]", "_", name)
        (hostile / f"{file}.yaml").write_text(manifest(name))
        (hostile / f"{number}-{file}.yaml").write_text("kind: ClusterRole\nrules: [" + json.dumps(name) + "\n")
        (hostile / f"{number}.yaml").write_text(manifest(f"noted {number}").replace('"rules"', f"\n# deputize: ignore[{file.splitlines()[0]}] -- {file.splitlines()[0]}\n\"rules\""))
    with open(os.fsencode(hostile) + b"/\xff.yaml", "w", encoding="utf-8") as file:
        file.write(manifest("bytes"))
    cases.append(("hostile", hostile, [], 2))
    # Neither inside of the repository nor a file at all.
    cases.append(("outside", make_repository(root, "outside"), ["../platform", "-"], 1))
    # Clusters that cannot be read, under names that nothing restricts.
    clusters = make_repository(root, "clusters")
    contexts = [{"name": name, "context": {"cluster": "none", "user": "none"}} for name in HOSTILE]
    (clusters / "kubeconfig").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "none", "user": {}}],
                "contexts": contexts,
            }
        )
    )
    cases.append(("clusters", clusters, ["--kubeconfig", "kubeconfig", "--all-contexts"], 2))
    return cases


def deputize(directory: Path, arguments: list[str], **more: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "CLICOLOR_FORCE": "1", **more}
    stdin = manifest("from standard input").encode()
    return subprocess.run([BINARY, *arguments], cwd=directory, env=environment, input=stdin, capture_output=True, check=False)


def run_check(name: str, directory: Path, arguments: list[str], status: int, out: Path) -> dict[str, Path]:
    """Writes every format, and holds what goes to standard output against what goes to a file."""
    files = {of: out / f"{name}.{of}" for of in FORMATS}
    outputs = [argument for of, file in files.items() for argument in ("-o", f"{of}={file}")]
    summary = out / f"{name}.summary.md"
    run = deputize(directory, ["check", *arguments, *outputs], GITHUB_STEP_SUMMARY=str(summary))
    if run.returncode != status:
        fail(name, f"status {run.returncode}, not {status}: {run.stderr.decode()[-2000:]}")
    if run.stdout:
        fail(name, f"every output goes to a file, and yet there is standard output: {run.stdout[:200]!r}")
    for of, file in files.items():
        alone = deputize(directory, ["check", *arguments, "-o", of])
        if alone.stdout != file.read_bytes():
            fail(f"{name}, {of}", "standard output is not what the file holds, with colour forced")
        text = file.read_text(encoding="utf-8")
        if odd := re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe]", text):
            fail(f"{name}, {of}", f"a raw control character: {odd.group()!r}")
    files["summary"] = summary
    return files


def check_lines(name: str, files: dict[str, Path], document: dict) -> None:
    """Holds the formats that are lines against the JSON document: one line a finding, whatever names hold."""
    command = re.compile(r"::(error|warning|notice) (file=[^:,]*,(line=\d+,endLine=\d+,(col=\d+,endColumn=\d+,)?)?)?title=[^:,]*::.*")
    results = [context.get("result") for context in document["contexts"]] if "contexts" in document else [document]
    failed = sum(result is None for result in results)
    results = [result for result in results if result is not None]
    findings = sum(len(result["findings"]) for result in results)
    problems = sum(len(result["problems"]) for result in results)
    lines = files["github"].read_text().splitlines()
    if len(lines) != findings + problems + failed:
        fail(f"{name}, github", f"{len(lines)} lines, {findings} findings, {problems} problems")
    for line in lines:
        if not command.fullmatch(line):
            fail(f"{name}, github", f"no annotation: {line!r}")
    lines = files["concise"].read_text().splitlines()
    if len(lines) != findings:
        fail(f"{name}, concise", f"{len(lines)} lines, {findings} findings")
    for line in lines:
        if not re.match(r".+:\d+:\d+: (error|warning|note)\[[a-z-]+\] ", line) or re.search(r"^::|##\[|##vso\[", line):
            fail(f"{name}, concise", f"not as it should be: {line!r}")
    # As GitHub renders it: tables, and links of what looks like one.
    markdown = MarkdownIt("gfm-like")
    # GitHub makes no link of a bare name such as example.com/x.
    markdown.linkify.set({"fuzzy_link": False})
    html = markdown.render(files["summary"].read_text())
    rows = html.count("<tr>")
    if rows != (findings + 1 if findings else 0) or html.count("<td") != 4 * findings:
        fail(f"{name}, summary", f"{rows} rows, {findings} findings")
    if odd := re.search(r"<(?!/?(h2|ul|li|table|thead|tbody|tr|th|td|code|p)\b)[^>]*>", html):
        fail(f"{name}, summary", f"an element that nobody wrote: {odd.group()}")


def check_sarif(logs: dict[str, Path], out: Path) -> int:
    """Holds SARIF against the schema of the standard, and against Microsoft's validator with the rules of GitHub."""
    schema = json.loads((CACHE / "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    for name, path in logs.items():
        for error in validator.iter_errors(json.loads(path.read_text())):
            fail(f"{name}, SARIF schema", f"{error.json_path}: {error.message[:300]}")
    tool = CACHE / "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool"
    # What npm would do after it installs the package, where scripts are allowed to run.
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    report = out / "validated.sarif"
    subprocess.run(
        [tool, "validate", *logs.values(), "--rule-kind", "Sarif;Ghas", "--level", "Error;Warning", "--output", report, "--log", "ForceOverwrite"],
        env={**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
        check=True,
        capture_output=True,
    )
    validated = json.loads(report.read_text(encoding="utf-8-sig"))["runs"][0]
    for result in validated.get("results", []):
        message = result["message"]
        # There is no address until Cargo.toml names a repository. (The name of the message is misspelt there.)
        if message.get("id") == "Warning_ProvideToolnformationUri":
            continue
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"].get("uri", "")
        fail(f"{Path(uri).stem}, SARIF multitool", f"{result['ruleId']} {message.get('id')}: {message.get('arguments', message)}")
    invocations = validated.get("invocations", [])
    if not invocations or not all(invocation["executionSuccessful"] for invocation in invocations):
        fail("SARIF multitool", f"it did not run: {invocations}")
    for invocation in invocations:
        for notification in invocation.get("toolExecutionNotifications", []) + invocation.get("toolConfigurationNotifications", []):
            fail("SARIF multitool", notification["message"])
    return len(logs)


def check_gitlab(reports: dict[str, Path], out: Path) -> int:
    """Holds code quality reports against the types of Code Climate, with what GitLab asks for besides."""
    source = out / "reports.ts"
    types = json.dumps(str(CACHE / "node_modules/codeclimate-types/index.js"))
    text = f"import type {{ Issue }} from {types}\ntype Entry = Issue & Required<Pick<Issue, 'fingerprint' | 'severity'>>\n"
    for path in reports.values():
        text += f"({path.read_text().strip()}) satisfies Entry[];\n"
    source.write_text(text)
    tsc = subprocess.run(
        [CACHE / "node_modules/.bin/tsc", "--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", source],
        check=False,
        capture_output=True,
        text=True,
    )
    if tsc.returncode != 0:
        fail(f"{'/'.join(reports)}, types of Code Climate", tsc.stdout[:2000])
    for name, path in reports.items():
        entries = json.loads(path.read_text())
        prints = [entry["fingerprint"] for entry in entries]
        if len(set(prints)) != len(prints):
            fail(f"{name}, gitlab", "two entries have one fingerprint: GitLab shows one of them")
        for entry in entries:
            if entry["location"]["path"].startswith("./"):
                fail(f"{name}, gitlab", f"not relative to the repository: {entry['location']}")
    return len(reports)


def check_junit(documents: dict[str, Path]) -> int:
    """Holds JUnit's XML against Jenkins' schema."""
    schema = etree.XMLSchema(file=str(CACHE / "junit/junit-10.xsd"))
    for name, path in documents.items():
        try:
            document = etree.parse(str(path))
        except etree.XMLSyntaxError as error:
            fail(f"{name}, junit", error)
            continue
        if not schema.validate(document):
            fail(f"{name}, junit", str(schema.error_log)[:2000])
        for suite in document.getroot().iter("testsuite"):
            for count, path in [("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error"), ("skipped", "testcase/skipped")]:
                if int(suite.get(count)) != len(suite.findall(path)):
                    fail(f"{name}, junit", f"{count} is {suite.get(count)}")
    return len(documents)


def check_json(documents: list[tuple[str, object]], schemas: dict[str, dict]) -> int:
    """Holds JSON against the published schema that it names."""
    for name, document in documents:
        title = document.get("schema", "deputize simulate")
        if title not in schemas:
            fail(name, f"there is no published schema {title!r}")
            continue
        schema = schemas[title]
        for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document):
            fail(f"{name}, {title}", f"{error.json_path}: {error.message[:300]}")
        for context in document.get("contexts", []):
            if context.get("result"):
                check_json([(f"{name}, {context['name']}", context["result"])], schemas)
    return len(documents)


def documents_of_commands(directory: Path, out: Path) -> list[tuple[str, object]]:
    """Runs every other command that writes JSON."""
    log, actions = CHECKOUT / "testdata/platform-audit.log", CHECKOUT / "testdata/platform-actions.yaml"
    documents = []

    def run(arguments: list[str], statuses: tuple[int, ...], lines: bool = False) -> None:
        result = deputize(directory, arguments)
        name = " ".join(str(argument) for argument in arguments)
        if result.returncode not in statuses:
            fail(name, f"status {result.returncode}: {result.stderr.decode()[-1000:]}")
            return
        if b"\x1b" in result.stdout:
            fail(name, "colour among JSON")
        texts = result.stdout.splitlines() if lines else [result.stdout]
        if not texts:
            fail(name, "nothing on standard output")
        documents.extend((name, json.loads(text)) for text in texts)

    run(["grants", "manifests", "-o", "json"], (0, 1))
    run(["rules", "-o", "json"], (0,))
    run(["config", "-o", "json"], (0,))
    run(["migrate", "manifests", "--audit-log", str(log), "-o", "json"], (0, 1))
    run(["migrate", "manifests", "--actions", str(actions), "-o", "json"], (0, 1))
    deputize(directory, ["migrate", "manifests", "--audit-log", str(log), "--output-dir", str(out / "migrated")])
    documents.append(("plan.json", json.loads((out / "migrated/plan.json").read_text())))
    run(["verify", "manifests", "--audit-log", str(log), "--with", str(out / "migrated"), "-o", "json"], (0, 1))
    run(["report", "manifests", "-o", "json"], (0, 1))
    run(["report", "manifests", "--audit-log", str(log), "-o", "json"], (0, 1))
    run(["evidence", str(log)], (0, 1), lines=True)
    requests = out / "requests.jsonl"
    request = {"user": "system:serviceaccount:login-proxy:login-proxy", "impersonate": {"user": "jane"}, "verb": "get", "resource": "pods"}
    requests.write_text("\n".join([json.dumps(request), "{", json.dumps({**request, "impersonate": {}})]) + "\n")
    run(["simulate", "manifests", "--requests", str(requests)], (0, 1, 2), lines=True)
    kubeconfig = str(out.parent / "clusters/kubeconfig")
    for command in ["grants", "report"]:
        run([command, "--kubeconfig", kubeconfig, "--all-contexts", "-o", "json"], (2,))
    return documents


def must_refuse(what: str, validate) -> None:
    """Runs a validator on what is wrong: one that takes it would prove nothing."""
    before = len(failures)
    validate()
    if len(failures) == before:
        fail("self-test", f"{what} is not refused")
    else:
        del failures[before:]


def self_test(files: dict[str, Path], schemas: dict[str, dict], out: Path) -> None:
    sarif = json.loads(files["sarif"].read_text())
    wrong = out / "wrong.sarif"

    def changed(text: str) -> dict[str, Path]:
        wrong.write_text(text)
        return {"wrong": wrong}

    sarif["runs"][0]["results"][0]["level"] = "fatal"
    must_refuse("a level that SARIF has not", lambda: check_sarif(changed(json.dumps(sarif)), out))
    sarif["runs"][0]["results"][0]["level"] = "error"
    # The schema allows it, GitHub does not.
    del sarif["runs"][0]["tool"]["driver"]["rules"][0]["help"]
    must_refuse("a rule without help", lambda: check_sarif(changed(json.dumps(sarif)), out))
    report = json.loads(files["gitlab"].read_text())
    report[0]["severity"] = "urgent"
    must_refuse("a severity that GitLab has not", lambda: check_gitlab(changed(json.dumps(report)), out))
    junit = files["junit"].read_text()
    must_refuse("a test case without a name", lambda: check_junit(changed(re.sub(r"(<testcase [^>]*?) name=\"[^\"]*\"", r"\1", junit, count=1))))
    document = json.loads(files["json"].read_text())
    del document["findings"][0]["rule"]
    must_refuse("a finding without a rule", lambda: check_json([("wrong", document)], schemas))


def main() -> None:
    # Resolved: temporary directories may be links.
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        out = root / "out"
        out.mkdir()
        schemas = {}
        for path in sorted((CHECKOUT / "docs/schema").glob("*.json")):
            schema = json.loads(path.read_text())
            jsonschema.validators.validator_for(schema).check_schema(schema)
            schemas[schema["title"]] = schema
        files = {name: run_check(name, directory, arguments, status, out) for name, directory, arguments, status in make_cases(root)}
        written = {of: {name: of_case[of] for name, of_case in files.items()} for of in FORMATS}
        documents = [(name, json.loads(path.read_text())) for name, path in written["json"].items()]
        for name, document in documents:
            check_lines(name, files[name], document)
        counts = {
            "SARIF": check_sarif(written["sarif"], out),
            "code quality": check_gitlab(written["gitlab"], out),
            "JUnit": check_junit(written["junit"]),
        }
        documents += documents_of_commands(root / "platform", out)
        configuration = tomllib.loads((root / "hidden/deputize.toml").read_text())
        counts["JSON"] = check_json(documents, schemas)
        settings = schemas["deputize.toml"]
        for error in jsonschema.validators.validator_for(settings)(settings).iter_errors(json.loads(json.dumps(configuration, default=str))):
            fail("deputize.toml", f"{error.json_path}: {error.message}")
        self_test(files["platform"], schemas, out)
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print("validated: " + ", ".join(f"{count} {of}" for of, count in counts.items()))
    print(f"{sum(counts.values())} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


main()
