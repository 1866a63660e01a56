//! The document of the API: complete, sound, and true of every answer that these tests get.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::common::House;

/// The document, with schemas that let no member pass which they do not name.
static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::new(signaling::door::document()));

pub(crate) struct Document {
    pub(crate) whole: Value,
    /// The schemas, closed.
    schemas: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    fn new(whole: Value) -> Self {
        let mut schemas = whole["components"]["schemas"].clone();
        let mut parts = BTreeSet::new();
        parts_of_others(&schemas, false, &mut parts);
        for (name, schema) in schemas.as_object_mut().unwrap() {
            if !parts.contains(name) {
                schema["unevaluatedProperties"] = json!(false);
            }
        }
        Self { whole, schemas, validators: Mutex::default() }
    }

    pub(crate) fn get() -> &'static Self {
        &DOCUMENT
    }

    pub(crate) fn paths(&self) -> &Map<String, Value> {
        self.whole["paths"].as_object().unwrap()
    }

    /// The operation behind an address, if it is one of the API.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap();
        let fits = |template: &str| {
            let (template, path) = (template.split('/'), path.split('/'));
            template.clone().count() == path.clone().count()
                && template.zip(path).all(|(part, given)| part.starts_with('{') || part == given)
        };
        // Of two that fit, the one that names more of it.
        let item = self.paths().iter().filter(|(template, _)| fits(template));
        let (_, item) = item.min_by_key(|(template, _)| template.matches('{').count())?;
        let method = if *method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
        item.get(&method)
    }

    /// What is wrong with a value by a schema of the document.
    pub(crate) fn fault(&self, schema: &Value, value: &Value) -> Option<String> {
        let name = schema.to_string();
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(name).or_insert_with(|| {
            let mut whole = schema.clone();
            whole["components"] = json!({"schemas": self.schemas});
            Arc::new(jsonschema::validator_for(&whole).unwrap())
        });
        validator.validate(value).err().map(|error| format!("{}: {error}", error.instance_path()))
    }

    /// What an answer has that the document does not say of its operation.
    pub(crate) fn lie(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<String> {
        let operation = self.operation(method, path)?;
        let Some(response) = operation["responses"].get(status.as_str()) else {
            return Some(format!("{status} is not among {:?}", operation["responses"].as_object().unwrap().keys()));
        };
        let response = self.resolve(response);
        let missing = response["headers"].as_object().unwrap().keys().find(|name| !headers.contains_key(*name));
        if let Some(name) = missing {
            return Some(format!("the header {name} is missing"));
        }
        if *method == Method::HEAD || body.is_empty() && response.get("content").is_none() {
            return None;
        }
        let kind = headers.get("content-type").map_or("", |value| value.to_str().unwrap());
        let kind = kind.split(';').next().unwrap();
        let Some(content) = response["content"].get(kind) else {
            return Some(format!("{kind:?} is not among {:?}", response["content"]));
        };
        if kind != "application/json" {
            return None;
        }
        match serde_json::from_slice(body) {
            Ok(value) => self.fault(&content["schema"], &value),
            Err(error) => Some(error.to_string()),
        }
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref") {
            Some(reference) => self.whole.pointer(reference.as_str().unwrap().trim_start_matches('#')).unwrap(),
            None => value,
        }
    }
}

/// Schemas that are part of larger ones: these have further members.
fn parts_of_others(value: &Value, is_part: bool, parts: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let (true, Some(Value::String(reference))) = (is_part, members.get("$ref")) {
                parts.insert(reference.rsplit('/').next().unwrap().to_owned());
            }
            for (name, member) in members {
                parts_of_others(member, name == "allOf" || is_part && name == "oneOf", parts);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| parts_of_others(item, is_part, parts)),
        _ => {}
    }
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described_in_words_of_its_own_and_every_reference_leads_somewhere() {
    let document = Document::get();
    let tags: Vec<_> = document.whole["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    let mut ids = BTreeSet::new();
    for (path, item) in document.paths() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 3), "{name}");
            assert!(tags.contains(&operation["tags"][0]), "{name}");
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|parameter| parameter["name"] == part), "{name}: {part}");
            }
            for scheme in operation["security"].as_array().into_iter().flatten() {
                let scheme = scheme.as_object().unwrap().keys().next().unwrap();
                assert!(document.whole["components"]["securitySchemes"].get(scheme).is_some(), "{name}: {scheme}");
            }
        }
    }
    let mut found = Vec::new();
    references(&document.whole, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        assert!(document.whole.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for name in document.schemas.as_object().unwrap().keys() {
        // Building a validator fails for what is no schema.
        document.fault(&json!({"$ref": format!("#/components/schemas/{name}")}), &Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_takes_exactly_the_methods_that_the_document_names() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    for (path, item) in Document::get().paths() {
        let refused = house.call(Method::TRACE, path, &[], Body::empty()).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let taken: BTreeSet<_> =
            refused.header("allow").split(',').map(|method| method.trim().to_lowercase()).collect();
        let mut named: BTreeSet<_> = item.as_object().unwrap().keys().cloned().collect();
        if named.contains("get") {
            named.insert("head".to_owned());
        }
        if path.starts_with("/wh") {
            // What the standard asks for and says itself.
            named.insert("options".to_owned());
            named.extend(path.contains('{').then(|| "patch".to_owned()));
        }
        assert_eq!(taken, named, "{path}");
    }
    // And no address of the API is registered beside its description.
    let beside = include_str!("../../src/door/mod.rs");
    assert!(!beside.contains(".route(\"/v1") && beside.contains(".route(\"/healthz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_there_for_everybody_and_sent_once() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let answer = house.get("/v1/openapi.json", "").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, signaling::door::document()));
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    let known = [("if-none-match", answer.header("etag"))];
    let again = house.call(Method::GET, "/v1/openapi.json", &known, Body::empty()).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[test]
fn the_golden_events_are_as_the_document_says() {
    let mut checked = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/golden")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let message: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let schema = match () {
            () if name.starts_with("server.event.") => json!({"$ref": "#/components/schemas/Event"}),
            () if name.starts_with("server.chatEvent") || name.starts_with("server.chatRead") => {
                json!({"$ref": "#/components/schemas/News"})
            }
            () => continue,
        };
        let value = if name.starts_with("server.event.") { &message["event"] } else { &message };
        assert_eq!(Document::get().fault(&schema, value), None, "{name}");
        checked += 1;
    }
    assert!(checked >= 14, "{checked}");
}

#[test]
fn the_check_of_answers_finds_what_the_document_does_not_say() {
    let document = Document::get();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("request-id", "1".parse().unwrap());
    let me = json!({"userId": format!("usr_{}", "0".repeat(32)), "displayName": "A", "tenant": "t", "isAdmin": false});
    let lie = |status: u16, body: &Value| {
        let status = StatusCode::from_u16(status).unwrap();
        document.lie(&Method::GET, "/v1/me", status, &headers, body.to_string().as_bytes())
    };
    assert_eq!(lie(200, &me), None);
    assert!(lie(204, &me).unwrap().contains("not among"));
    assert!(lie(401, &me).is_some(), "not the form of an error");
    let without = |name: &str| {
        let mut other = me.clone();
        other.as_object_mut().unwrap().remove(name);
        other
    };
    let with = |name: &str, value: Value| {
        let mut other = me.clone();
        other[name] = value;
        other
    };
    for wrong in
        [without("userId"), with("isAdmin", json!("no")), with("userId", json!("usr_1")), with("more", json!(1))]
    {
        assert!(lie(200, &wrong).is_some(), "{wrong}");
    }
}
