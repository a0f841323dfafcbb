//! The manifests in `k8s/deploy`, read as Kubernetes' own types: no field that Kubernetes does not
//! know, no reference to what is not there, and no right beyond the least.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{
    Container, Namespace, PersistentVolumeClaim, PodSpec, Service, ServiceAccount,
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const NAME: &str = "predictive-scaler";
const CLAIM: &str = "predictive-scaler-models";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn yaml(file: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(file)).expect("a file that can be read");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Reads a manifest and refuses fields that its type does not have.
fn manifest<T: DeserializeOwned + Serialize>(file: &str) -> T {
    let raw = yaml(file);
    let typed: T =
        serde_json::from_value(raw.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
    let understood = serde_json::to_value(&typed).expect("Kubernetes' types are JSON");
    assert_understood(file, &raw, &understood);
    typed
}

/// Everything that is written is also in what was understood.
fn assert_understood(path: &str, written: &Value, understood: &Value) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                let path = format!("{path}: {key}");
                let other = understood.get(key).unwrap_or_else(|| panic!("{path}: unknown field"));
                assert_understood(&path, value, other);
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            assert_eq!(written.len(), understood.len(), "{path}");
            for (index, (value, other)) in written.iter().zip(understood).enumerate() {
                assert_understood(&format!("{path}[{index}]"), value, other);
            }
        }
        (written, understood) => assert_eq!(written, understood, "{path}"),
    }
}

fn serving() -> PodSpec {
    let deployment: Deployment = manifest("deployment.yaml");
    deployment.spec.and_then(|spec| spec.template.spec).expect("a pod")
}

fn training() -> PodSpec {
    let cron_job: CronJob = manifest("cronjob.yaml");
    let job = cron_job.spec.and_then(|spec| spec.job_template.spec).expect("a job");
    job.template.spec.expect("a pod")
}

fn only_container(pod: &PodSpec) -> &Container {
    let [container] = pod.containers.as_slice() else {
        panic!("one container, not {}", pod.containers.len());
    };
    container
}

fn args(container: &Container) -> Vec<&str> {
    container.args.iter().flatten().map(String::as_str).collect()
}

/// Mount path → volume name.
fn mounts(container: &Container) -> BTreeMap<&str, &str> {
    let mounts = container.volume_mounts.iter().flatten();
    mounts.map(|mount| (mount.mount_path.as_str(), mount.name.as_str())).collect()
}

#[test]
#[should_panic(expected = "unknown field")]
fn a_misspelt_field_would_be_found() {
    let raw = json!({ "metadata": {}, "spec": { "replica": 1 } });
    let typed: Service = serde_json::from_value(raw.clone()).expect("unknown fields are ignored");
    assert_understood("raw", &raw, &serde_json::to_value(typed).expect("JSON"));
}

#[test]
fn every_manifest_is_listed_and_every_listed_one_is_there() {
    let kustomization = yaml("kustomization.yaml");
    let listed: BTreeSet<String> =
        serde_json::from_value(kustomization["resources"].clone()).expect("a list of files");
    let files = std::fs::read_dir(folder()).expect("the folder");
    let names = files.map(|file| file.expect("an entry").file_name().into_string().expect("UTF-8"));
    let no_manifest = ["README.md", "config.yaml", "kustomization.yaml"];
    let there: BTreeSet<String> = names.filter(|n| !no_manifest.contains(&n.as_str())).collect();
    assert_eq!(listed, there);
    // A transformer of namespaces would move the Role out of the workload's namespace.
    assert_eq!(kustomization.get("namespace"), None);
}

#[test]
fn the_role_has_the_least_privilege() {
    let role: Role = manifest("role.yaml");
    let rules = serde_json::to_value(&role.rules).expect("JSON");
    let least = json!([{
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "resourceNames": ["web"],
        "verbs": ["get", "patch"],
    }]);
    assert_eq!(rules, least);
}

#[test]
fn the_role_and_the_config_are_about_the_same_workload() {
    let role: Role = manifest("role.yaml");
    let config = yaml("config.yaml");
    let workloads = config["workloads"].as_array().expect("a list");
    let names: Vec<&str> = workloads.iter().filter_map(|w| w["name"].as_str()).collect();
    let rule = role.rules.iter().flatten().next().expect("a rule");
    assert_eq!(rule.resource_names.as_deref().unwrap_or_default(), names);
    for workload in workloads {
        assert_eq!(workload["namespace"].as_str(), role.metadata.namespace.as_deref());
        assert_eq!(workload["mode"], "shadow", "the first mode touches nothing");
    }
}

#[test]
fn the_role_is_bound_to_the_service_account_that_serves() {
    let role: Role = manifest("role.yaml");
    let binding: RoleBinding = manifest("rolebinding.yaml");
    let account: ServiceAccount = manifest("serviceaccount.yaml");
    assert_eq!(binding.metadata.namespace, role.metadata.namespace);
    assert_eq!(Some(&binding.role_ref.name), role.metadata.name.as_ref());
    assert_eq!(binding.role_ref.kind, "Role");
    let [subject] = binding.subjects.as_deref().unwrap_or_default() else {
        panic!("one subject");
    };
    assert_eq!(subject.kind, "ServiceAccount");
    assert_eq!(Some(&subject.name), account.metadata.name.as_ref());
    assert_eq!(subject.namespace, account.metadata.namespace);
    assert_eq!(serving().service_account_name.as_ref(), account.metadata.name.as_ref());
    assert_eq!(serving().automount_service_account_token, Some(true));
    assert_eq!(training().automount_service_account_token, Some(false));
    assert_eq!(account.automount_service_account_token, Some(false));
}

#[test]
fn pods_are_confined() {
    for pod in [serving(), training()] {
        let user = pod.security_context.as_ref().expect("a security context");
        assert_eq!((user.run_as_non_root, user.run_as_user), (Some(true), Some(65532)));
        assert_eq!((user.run_as_group, user.fs_group), (Some(65532), Some(65532)));
        let seccomp = user.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
        assert_eq!(seccomp, Some("RuntimeDefault"));
        let container = only_container(&pod);
        let confined = container.security_context.as_ref().expect("a security context");
        assert_eq!(confined.allow_privilege_escalation, Some(false));
        assert_eq!(confined.read_only_root_filesystem, Some(true));
        assert_eq!(confined.privileged, None);
        let capabilities = confined.capabilities.as_ref().expect("capabilities");
        assert_eq!(capabilities.drop.as_deref(), Some(["ALL".to_owned()].as_slice()));
        assert_eq!(capabilities.add, None);
        let resources = container.resources.as_ref().expect("resources");
        let named = |of: &Option<BTreeMap<String, _>>, what| {
            of.as_ref().is_some_and(|r| r.contains_key(what))
        };
        assert!(named(&resources.requests, "cpu") && named(&resources.requests, "memory"));
        assert!(named(&resources.limits, "memory"));
        assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
    }
    let namespace: Namespace = manifest("namespace.yaml");
    let labels = namespace.metadata.labels.expect("labels");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn every_mount_has_a_volume_that_is_there() {
    let kustomization = yaml("kustomization.yaml");
    let generator = &kustomization["configMapGenerator"][0];
    assert_eq!((&generator["name"], &generator["namespace"]), (&json!(NAME), &json!(NAME)));
    assert_eq!(generator["files"], json!(["config.yaml"]));
    let claim: PersistentVolumeClaim = manifest("persistentvolumeclaim.yaml");
    assert_eq!(claim.metadata.name.as_deref(), Some(CLAIM));
    for pod in [serving(), training()] {
        let mounted: BTreeSet<&str> = mounts(only_container(&pod)).into_values().collect();
        let volumes = pod.volumes.as_deref().unwrap_or_default();
        let there: BTreeSet<&str> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        assert_eq!(mounted, there);
        let config = volumes.iter().find_map(|volume| volume.config_map.as_ref());
        assert_eq!(config.expect("a ConfigMap").name, NAME);
        let claims = volumes.iter().find_map(|volume| volume.persistent_volume_claim.as_ref());
        assert_eq!(claims.expect("a claim").claim_name, CLAIM, "both share the volume");
    }
}

#[test]
fn what_the_commands_name_is_mounted() {
    let model_dir = yaml("config.yaml")["modelDir"].as_str().expect("a path").to_owned();
    let (serving, training) = (serving(), training());
    let (serve, train) = (only_container(&serving), only_container(&training));
    let config = "/etc/predictive-scaler/config.yaml";
    assert_eq!(args(serve), ["serve", "--config", config]);
    assert_eq!(args(train), ["train", "--config", config, "--model-dir", &model_dir]);
    assert_eq!(serve.image, train.image);
    for container in [serve, train] {
        let mounts = mounts(container);
        let holds = |path: &str, volume| {
            mounts.iter().any(|(mount, name)| *name == volume && Path::new(path).starts_with(mount))
        };
        assert!(holds(config, "config") && holds(&model_dir, "models"), "{mounts:?}");
        assert_eq!(mounts.get("/tmp"), Some(&"tmp"));
    }
    let images = yaml("kustomization.yaml")["images"].clone();
    assert_eq!(images[0]["name"].as_str(), serve.image.as_deref());
}

#[test]
fn one_pod_serves_and_one_job_trains_at_a_time() {
    let deployment: Deployment = manifest("deployment.yaml");
    let spec = deployment.spec.expect("a spec");
    assert_eq!(spec.replicas, Some(1));
    assert_eq!(spec.strategy.and_then(|s| s.type_).as_deref(), Some("Recreate"));
    let cron_job: CronJob = manifest("cronjob.yaml");
    let spec = cron_job.spec.expect("a spec");
    assert_eq!(spec.concurrency_policy.as_deref(), Some("Forbid"));
    let fields: Vec<&str> = spec.schedule.split_whitespace().collect();
    assert!(matches!(fields.as_slice(), [_, _, "*", "*", "*"]), "daily: {}", spec.schedule);
    assert_eq!(training().restart_policy.as_deref(), Some("Never"));
}

#[test]
fn the_labels_select_the_pods_that_serve() {
    let deployment: Deployment = manifest("deployment.yaml");
    let spec = deployment.spec.expect("a spec");
    let labels = spec.template.metadata.and_then(|meta| meta.labels).expect("labels");
    assert_eq!(spec.selector.match_labels.as_ref(), Some(&labels));
    let service: Service = manifest("service.yaml");
    let service = service.spec.expect("a spec");
    assert_eq!(service.selector.as_ref(), Some(&labels));
    let affinity = training().affinity.and_then(|a| a.pod_affinity).expect("an affinity");
    let terms = affinity.required_during_scheduling_ignored_during_execution.unwrap_or_default();
    let near = terms[0].label_selector.as_ref().and_then(|s| s.match_labels.as_ref());
    assert_eq!(near, Some(&labels), "the volume belongs to one node");
    let cron_job: CronJob = manifest("cronjob.yaml");
    let job = cron_job.spec.and_then(|spec| spec.job_template.spec).expect("a job");
    let trains = job.template.metadata.and_then(|meta| meta.labels).expect("labels");
    assert_ne!(trains, labels, "the Service must not send requests to a training job");

    let serving = serving();
    let container = only_container(&serving);
    let port = &container.ports.as_deref().expect("ports")[0];
    assert_eq!((port.name.as_deref(), port.container_port), (Some("http"), 8080));
    let path = |probe: &Option<k8s_openapi::api::core::v1::Probe>| {
        let http = probe.as_ref().and_then(|probe| probe.http_get.clone()).expect("HTTP");
        (http.path.expect("a path"), serde_json::to_value(http.port).expect("JSON"))
    };
    assert_eq!(path(&container.liveness_probe), ("/livez".to_owned(), json!("http")));
    assert_eq!(path(&container.readiness_probe), ("/readyz".to_owned(), json!("http")));
    assert_eq!(serde_json::to_value(&service.ports).expect("JSON")[0]["targetPort"], "http");
}
