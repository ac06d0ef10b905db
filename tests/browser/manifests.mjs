// Manifests that the tests make reports of.

const API = "rbac.authorization.k8s.io";

const document = (value) => JSON.stringify({ apiVersion: `${API}/v1`, ...value });

export const role = (name, rules, metadata = {}) =>
  document({ kind: "ClusterRole", metadata: { name, ...metadata }, rules });

export const binding = (name, role, subjects) =>
  document({ kind: "ClusterRoleBinding", metadata: { name }, roleRef: { apiGroup: API, kind: "ClusterRole", name: role }, subjects });

/** As many grants as `count`, of several kinds, owners and outcomes, some of them in reach of all power. */
export function many(count) {
  const documents = [];
  for (let i = 0; i < count; i++) {
    const labels = [
      { "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": `release-${i % 40}` },
      { "app.kubernetes.io/part-of": `product-${i % 25}` },
      {},
    ][i % 3];
    const rule = [
      { verbs: ["impersonate"], apiGroups: [""], resources: ["users"], resourceNames: [`robot-${i}`, "support"] },
      { verbs: ["impersonate"], apiGroups: [""], resources: ["serviceaccounts"] },
      { verbs: ["impersonate"], apiGroups: ["authentication.k8s.io"], resources: ["userextras/scopes"] },
      { verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] },
      { verbs: ["impersonate:user-info"], apiGroups: ["authentication.k8s.io"], resources: ["users"] },
      { verbs: ["impersonate"], apiGroups: ["authentication.k8s.io"], resources: ["users"] },
      { verbs: ["*"], apiGroups: [""], resources: ["serviceaccounts"] },
    ][i % 7];
    const subject = { kind: "ServiceAccount", namespace: `team-${i % 120}`, name: `worker-${i}` };
    documents.push(role(`grant-${i}`, [rule], { labels }), binding(`grant-${i}`, `grant-${i}`, [subject]));
  }
  return documents.join("\n");
}

const HOSTILE = [
  "<script>document.title = 'owned'</script>",
  "</script><script>document.title = 'owned'</script>",
  "\"><img src=x onerror=\"document.title = 'owned'\">",
  "'-->{{ 7 * 7 }}{% raw %}<!--",
  "</style><b>bold</b>",
  "javascript:document.title='owned'",
  "\u202eright\u2066to\u200bleft\u001b[31m",
  "a\nb\r\u0000c",
];

export { HOSTILE };

/** Roles, bindings, subjects, identities and owners of hostile names, one step from all power. */
export function hostile() {
  const documents = HOSTILE.flatMap((name, i) => [
    role(name, [{ verbs: ["impersonate"], apiGroups: [""], resources: ["users", "groups"] }], {
      annotations: { "meta.helm.sh/release-name": name },
    }),
    binding(`${name}${i}`, name, [{ kind: "User", name }, { kind: "Group", name }]),
    role(`named-${i}`, [{ verbs: ["impersonate"], apiGroups: [""], resources: ["users"], resourceNames: [name] }]),
    binding(`named-${i}`, `named-${i}`, [{ kind: "User", name: `holder-${i}` }]),
  ]);
  return documents.join("\n");
}
