//! What each crate may depend on, as ARCHITECTURE.md has it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Our crates, and those of ours that each may depend on.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("forecast", &[]),
    ("capacity", &["forecast"]),
    ("classical", &["forecast"]),
    ("fused", &[]),
    ("model", &["forecast", "fused"]),
    ("trainer", &["forecast", "model"]),
    ("datasets", &["forecast"]),
    ("k8s", &["forecast", "capacity"]),
    ("benches", &["datasets", "forecast", "model"]),
    ("server", &["forecast", "capacity", "classical", "model", "trainer", "datasets", "k8s"]),
];
/// The crates without I/O or tensors, and what they must not reach by any path.
const PURE: [&str; 3] = ["forecast", "capacity", "fused"];
const IMPURE: [&str; 7] = ["tokio", "reqwest", "kube", "axum", "burn", "hyper", "mio"];
/// The crates in which tensors live.
const TENSORS: [&str; 2] = ["model", "trainer"];

#[test]
fn each_crate_depends_on_what_its_room_allows() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m.as_str().unwrap())
        .collect();
    let ours: BTreeMap<&str, &Value> = packages
        .iter()
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours.keys().copied().collect::<BTreeSet<_>>(), listed, "a crate has no rule");
    for (name, allowed) in ALLOWED {
        for dependency in direct(ours[name]) {
            let is_ours = ours.contains_key(dependency);
            assert!(!is_ours || allowed.contains(&dependency), "{name} depends on {dependency}");
            let is_tensor = dependency.starts_with("burn");
            assert!(!is_tensor || TENSORS.contains(&name), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn the_pure_crates_reach_no_io() {
    let metadata = metadata();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    for pure in PURE {
        let mut reached = BTreeSet::new();
        let start = names.iter().find(|(id, name)| **name == pure && id.contains("path+")).unwrap();
        let mut to_visit = vec![*start.0];
        while let Some(id) = to_visit.pop() {
            if reached.insert(id) {
                to_visit.extend(normal_dependencies(nodes[id]));
            }
        }
        let impure: Vec<&str> =
            reached.iter().map(|id| names[id]).filter(|name| IMPURE.contains(name)).collect();
        assert!(impure.is_empty(), "{pure} reaches {impure:?}");
    }
}

fn normal_dependencies(node: &Value) -> impl Iterator<Item = &str> {
    node["deps"].as_array().unwrap().iter().filter_map(|dep| {
        let kinds = dep["dep_kinds"].as_array().unwrap();
        kinds.iter().any(|kind| kind["kind"].is_null()).then(|| dep["pkg"].as_str().unwrap())
    })
}

/// The names of a package's direct dependencies, those of its tests left out.
fn direct(package: &Value) -> impl Iterator<Item = &str> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    dependencies.filter(|dep| dep["kind"].is_null()).map(|dep| dep["name"].as_str().unwrap())
}

/// The platform that this test runs on: what only other platforms need was never downloaded.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &host()])
        .args(["--manifest-path", manifest])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
