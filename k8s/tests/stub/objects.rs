//! The objects of the stub and what the API does with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Recorded;

/// The objects by resource, namespace and name.
#[derive(Default)]
pub(crate) struct Objects(BTreeMap<(String, String, String), Object>);

/// What the scale subresource shows of an object.
pub(crate) struct Object {
    replicas: i64,
    pods: i64,
    version: u64,
}

/// A request, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    method: String,
    /// The group and version, such as `apps/v1`.
    api_version: String,
    /// The resource, namespace and name of a path that ends in `/scale`.
    key: Option<(String, String, String)>,
    dry_run: Option<String>,
    content_type: String,
    body: Value,
}

impl Object {
    pub(crate) fn replicas(&self) -> i64 {
        self.replicas
    }

    pub(crate) fn set_replicas(&mut self, replicas: i64) {
        // As in the real server, a write that changes nothing makes no version.
        if self.replicas != replicas {
            self.replicas = replicas;
            self.touch();
        }
    }

    pub(crate) fn set_pods(&mut self, pods: i64) {
        self.pods = pods;
        self.touch();
    }

    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    /// A count of zero is left out, as Go's `omitempty` does.
    fn scale(&self, (_, namespace, name): &(String, String, String)) -> Value {
        let spec =
            if self.replicas == 0 { json!({}) } else { json!({ "replicas": self.replicas }) };
        json!({
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "resourceVersion": self.version.to_string(),
            },
            "spec": spec,
            "status": { "replicas": self.pods, "selector": format!("app={name}") },
        })
    }
}

impl Asked {
    pub(crate) fn new(recorded: &Recorded) -> Self {
        let segments: Vec<&str> = recorded.path.trim_matches('/').split('/').collect();
        let (api_version, rest) = match segments.as_slice() {
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            _ => (String::new(), [].as_slice()),
        };
        let key = match rest {
            ["namespaces", namespace, resource, name, "scale"] => {
                Some(((*resource).to_owned(), (*namespace).to_owned(), (*name).to_owned()))
            }
            _ => None,
        };
        let dry_run = recorded.query.split('&').find_map(|pair| pair.strip_prefix("dryRun="));
        Self {
            method: recorded.method.clone(),
            api_version,
            key,
            dry_run: dry_run.map(str::to_owned),
            content_type: recorded.content_type.clone(),
            body: recorded.body.clone(),
        }
    }
}

impl Objects {
    pub(crate) fn add(&mut self, resource: &str, namespace: &str, name: &str, replicas: i64) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let version = 1000 + self.0.len() as u64;
        self.0.insert(key, Object { replicas, pods: replicas, version });
    }

    pub(crate) fn by_name(&mut self, namespace: &str, name: &str) -> &mut Object {
        let mut objects = self.0.iter_mut();
        let found = objects.find(|((_, ns, n), _)| ns == namespace && n == name);
        found.map(|(_, object)| object).expect("a test names objects that it has added")
    }

    pub(crate) fn asked_for(&mut self, asked: &Asked) -> &mut Object {
        let key = asked.key.as_ref().expect("this fault is for requests about an object");
        self.0.get_mut(key).expect("a test names objects that it has added")
    }

    /// Does what is asked; the code and body of the answer.
    pub(crate) fn perform(&mut self, asked: &Asked) -> (u16, Value) {
        let Some(key) = &asked.key else {
            let document = match asked.api_version.as_str() {
                "apps/v1" => discovery(
                    &asked.api_version,
                    &[("deployments", "Deployment", true), ("daemonsets", "DaemonSet", false)],
                ),
                "argoproj.io/v1alpha1" => discovery(
                    &asked.api_version,
                    &[("rollouts", "Rollout", true), ("analysisruns", "AnalysisRun", false)],
                ),
                _ => return (404, json!("404 page not found\n")),
            };
            return (200, document);
        };
        let group = asked.api_version.split('/').next().unwrap_or_default();
        let Some(object) = self.0.get_mut(key) else {
            let message = format!("{}.{group} {:?} not found", key.0, key.2);
            return (404, status(404, "NotFound", &message));
        };
        match asked.method.as_str() {
            "GET" => (200, object.scale(key)),
            "PATCH" => patch(object, key, asked, group),
            _ => (405, status(405, "MethodNotAllowed", "the server does not allow this method")),
        }
    }
}

fn patch(
    object: &mut Object,
    key: &(String, String, String),
    asked: &Asked,
    group: &str,
) -> (u16, Value) {
    let (resource, _, name) = key;
    if asked.content_type != "application/merge-patch+json" {
        let message = format!("the stub takes merge patches only, not {:?}", asked.content_type);
        return (415, status(415, "UnsupportedMediaType", &message));
    }
    if asked.dry_run.as_ref().is_some_and(|value| value != "All") {
        return (
            400,
            status(400, "BadRequest", "dryRun: Unsupported value: supported values: All"),
        );
    }
    let mut scale = object.scale(key);
    merge(&mut scale, &asked.body);
    if scale["metadata"]["resourceVersion"] != json!(object.version.to_string()) {
        let message = format!(
            "Operation cannot be fulfilled on {resource}.{group} {name:?}: the object has been \
             modified; please apply your changes to the latest version and try again"
        );
        return (409, status(409, "Conflict", &message));
    }
    let replicas = scale["spec"].get("replicas").map_or(Some(0), Value::as_i64);
    let Some(replicas) = replicas.filter(|n| (0..=i64::from(i32::MAX)).contains(n)) else {
        let message =
            format!("Scale.autoscaling {name:?} is invalid: spec.replicas: Invalid value");
        return (422, status(422, "Invalid", &message));
    };
    if asked.dry_run.is_some() {
        return (200, scale);
    }
    object.set_replicas(replicas);
    (200, object.scale(key))
}

/// A JSON merge patch, as RFC 7396 describes it.
fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = json!({});
    }
    for (name, change) in changes {
        if change.is_null() {
            document.as_object_mut().expect("just made one").remove(name);
        } else {
            merge(&mut document[name], change);
        }
    }
}

/// The `APIResourceList` of a group and version: resource, kind, and whether it can be scaled.
fn discovery(api_version: &str, kinds: &[(&str, &str, bool)]) -> Value {
    let mut resources = Vec::new();
    for (name, kind, scalable) in kinds {
        let verbs = ["get", "list", "patch"];
        let whole = json!({
            "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": verbs,
        });
        resources.push(whole);
        if *scalable {
            let scale = json!({
                "name": format!("{name}/scale"), "singularName": "", "namespaced": true,
                "group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch"],
            });
            resources.push(scale);
        }
    }
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version,
        "resources": resources,
    })
}

/// A failure as Kubernetes answers it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
