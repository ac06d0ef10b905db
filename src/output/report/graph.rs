//! The ways to all power as a drawing: a column for each number of steps, cluster-admin at the right end.
//!
//! Laid out here, so that the same input gives the same picture, and a page needs no script to show it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::shape::{PrincipalShape, WayShape};
use crate::output::escape;

/// How many columns are drawn, beside that of whoever is cluster-admin already.
const MAX_STEPS: usize = 4;
/// How many identities a column shows one by one.
const MAX_NODES: usize = 9;

/// How many characters fit into a box.
const MAX_SHOWN: usize = 27;

const NODE: (usize, usize) = (236, 46);
const GAP: (usize, usize) = (66, 16);
const TOP: usize = 44;
/// The width of the bar at the right end, and the space around it.
const BAR: usize = 52;

/// The drawing.
#[derive(Debug, Serialize)]
pub(super) struct Graph {
    width: usize,
    height: usize,
    columns: Vec<Column>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    bar: Bar,
    /// Ways that are longer than the drawing is wide.
    longer: usize,
}

#[derive(Debug, Serialize)]
struct Column {
    x: usize,
    title: String,
}

#[derive(Debug, Serialize)]
struct Bar {
    x: usize,
    y: usize,
    height: usize,
    middle: usize,
}

#[derive(Debug, Serialize)]
struct Node {
    id: usize,
    x: usize,
    y: usize,
    kind: String,
    name: String,
    /// As much of the name as fits.
    shown: String,
    /// Index of the way that begins here, if one does.
    way: Option<usize>,
    /// How many identities this stands for, if for many.
    more: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Edge {
    from: usize,
    to: Option<usize>,
    path: String,
    means: &'static str,
}

/// An identity with so many steps before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    steps: usize,
    kind: &'static str,
    name: String,
}

#[derive(Debug, Default)]
struct Placed {
    /// How many ways lead through it.
    weight: usize,
    way: Option<usize>,
    /// Where its way goes on, and how.
    next: Option<(Spot, &'static str)>,
}

impl Spot {
    fn new(steps: usize, who: &PrincipalShape) -> Self {
        let name = match (&who.namespace, &who.name) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (Some(namespace), None) => format!("any in {namespace}"),
            (None, Some(name)) => name.to_string(),
            (None, None) => "any at all".to_owned(),
        };
        Self { steps, kind: who.kind, name }
    }
}

/// Lays the ways out; none if there is nothing to draw.
pub(super) fn draw(ways: &[WayShape<'_>]) -> Option<Graph> {
    let mut spots: BTreeMap<Spot, Placed> = BTreeMap::new();
    let mut longer = 0;
    for (index, way) in ways.iter().enumerate() {
        let count = way.steps.len();
        if count > MAX_STEPS {
            longer += 1;
            continue;
        }
        let mut at = Spot::new(count, &way.from);
        spots.entry(at.clone()).or_default().way = Some(index);
        for (taken, step) in way.steps.iter().enumerate() {
            let next = Spot::new(count - taken - 1, &step.to);
            let placed = spots.entry(at).or_default();
            placed.weight += 1;
            placed.next = Some((next.clone(), step.means));
            at = next;
        }
        spots.entry(at).or_default().weight += 1;
    }
    // Nobody needs a drawing of those who are there already.
    let columns = spots.keys().map(|spot| spot.steps).max().filter(|most| *most > 0)? + 1;
    let mut graph = Graph {
        width: BAR + columns * (NODE.0 + GAP.0) + 8,
        height: 0,
        columns: Vec::new(),
        nodes: Vec::new(),
        edges: Vec::new(),
        bar: Bar { x: 0, y: TOP, height: 0, middle: 0 },
        longer,
    };
    let mut ids: BTreeMap<Spot, usize> = BTreeMap::new();
    let mut rows = 0;
    for steps in 0..columns {
        let x = 4 + (columns - 1 - steps) * (NODE.0 + GAP.0);
        let title = match steps {
            0 => "is cluster-admin".to_owned(),
            1 => "1 step away".to_owned(),
            many => format!("{many} steps away"),
        };
        graph.columns.push(Column { x, title });
        let column: Vec<(&Spot, &Placed)> = spots.iter().filter(|(spot, _)| spot.steps == steps).collect();
        rows = rows.max(place(&mut graph, &mut ids, &column, x));
    }
    graph.height = TOP + rows * (NODE.1 + GAP.1) + 4;
    graph.bar = Bar {
        x: graph.width - BAR - 4,
        y: TOP,
        height: rows * (NODE.1 + GAP.1) - GAP.1,
        middle: TOP + (rows * (NODE.1 + GAP.1) - GAP.1) / 2,
    };
    centre(&mut graph, rows);
    connect(&mut graph, &spots, &ids);
    Some(graph)
}

/// Places a column: those through whom most ways lead, in the order of where they go, and the others as one.
fn place(graph: &mut Graph, ids: &mut BTreeMap<Spot, usize>, column: &[(&Spot, &Placed)], x: usize) -> usize {
    let mut by_weight = column.to_vec();
    by_weight.sort_by(|(a, of_a), (b, of_b)| (of_b.weight, a).cmp(&(of_a.weight, b)));
    let shown = if column.len() > MAX_NODES { MAX_NODES - 1 } else { column.len() };
    let (mut shown, rest) = (by_weight[..shown].to_vec(), &by_weight[shown..]);
    let goes_to = |placed: &Placed| placed.next.as_ref().and_then(|(next, _)| ids.get(next)).copied();
    shown.sort_by_key(|(spot, placed)| (goes_to(placed), (*spot).clone()));
    let mut y = TOP;
    for (spot, placed) in shown {
        ids.insert(spot.clone(), graph.nodes.len());
        graph.nodes.push(Node {
            id: graph.nodes.len(),
            x,
            y,
            kind: spot.kind.to_owned(),
            name: spot.name.clone(),
            shown: clip(&spot.name),
            way: placed.way,
            more: None,
        });
        y += NODE.1 + GAP.1;
    }
    if !rest.is_empty() {
        let id = graph.nodes.len();
        ids.extend(rest.iter().map(|(spot, _)| ((*spot).clone(), id)));
        let name = format!("and {} more", rest.len());
        graph.nodes.push(Node {
            id,
            x,
            y,
            kind: "others".to_owned(),
            shown: name.clone(),
            name,
            way: None,
            more: Some(rest.len()),
        });
        y += NODE.1 + GAP.1;
    }
    (y - TOP) / (NODE.1 + GAP.1)
}

/// The beginning and the end of a name that is too long for its box.
fn clip(name: &str) -> String {
    let name = escape(name);
    let length = name.chars().count();
    if length <= MAX_SHOWN {
        return name.into_owned();
    }
    let tail = MAX_SHOWN / 2;
    name.chars().take(MAX_SHOWN - tail - 1).chain(['…']).chain(name.chars().skip(length - tail)).collect()
}

/// Moves each column to the middle.
fn centre(graph: &mut Graph, rows: usize) {
    let mut count: BTreeMap<usize, usize> = BTreeMap::new();
    for node in &graph.nodes {
        *count.entry(node.x).or_default() += 1;
    }
    for node in &mut graph.nodes {
        let own = count.get(&node.x).copied().unwrap_or(rows);
        node.y += (rows - own) * (NODE.1 + GAP.1) / 2;
    }
}

/// Draws the lines, one for each pair of nodes and means.
fn connect(graph: &mut Graph, spots: &BTreeMap<Spot, Placed>, ids: &BTreeMap<Spot, usize>) {
    let mut lines = BTreeSet::new();
    for (spot, placed) in spots {
        let Some(from) = ids.get(spot) else { continue };
        let (to, means) = placed.next.as_ref().map_or((None, "is"), |(next, means)| (ids.get(next).copied(), *means));
        lines.insert((*from, to, means));
    }
    for (from, to, means) in lines {
        let of = |node: &Node| (node.x, node.y + NODE.1 / 2);
        let Some((x, y)) = graph.nodes.get(from).map(of) else { continue };
        let start = x + NODE.0;
        let path = match to.and_then(|to| graph.nodes.get(to)).map(of) {
            Some((end, to_y)) => {
                let middle = (start + end) / 2;
                format!("M{start} {y}C{middle} {y} {middle} {to_y} {} {to_y}", end - 7)
            }
            None => format!("M{start} {y}H{}", graph.bar.x - 1),
        };
        graph.edges.push(Edge { from, to, path, means });
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::shape;
    use super::*;
    use crate::grants::Grants;
    use crate::inventory::load_bytes;
    use crate::report::{Facts, Report};

    #[test]
    fn columns_are_bounded_and_what_is_not_shown_is_counted() {
        let mut text =
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{verbs: \
                        [impersonate], apiGroups: [''], resources: [users, groups]}]\n"
                .to_owned();
        for index in 0..500 {
            text += &format!(
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: b{index}}}\n\
                 roleRef: {{kind: ClusterRole, name: a}}\nsubjects: [{{kind: User, name: u{index}}}]\n"
            );
        }
        let inventory = load_bytes("t.yaml", text.as_bytes());
        let grants = Grants::new(&inventory);
        let report = Report::new(&grants, Facts::default(), None);
        let shape = shape(&grants, &report);
        let graph = draw(&shape.cluster_admin.ways).unwrap();
        // Eight of the users, the others as one, and the group.
        assert_eq!(graph.nodes.len(), 10);
        assert!(graph.nodes.iter().any(|node| node.more == Some(492)));
        assert_eq!(graph.edges.len(), 10);
        assert!(graph.nodes.iter().all(|node| node.y + NODE.1 <= graph.height && node.x + NODE.0 < graph.bar.x));
        assert!(draw(&[]).is_none());
    }
}
