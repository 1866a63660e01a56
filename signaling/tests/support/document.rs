//! The API's document, and whether an answer is as it says.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use axum::http::{HeaderMap, Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// The document, with schemas that let no member pass which they do not name.
static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::new(signaling::door::document()));

pub(crate) struct Document {
    pub(crate) whole: Value,
    /// The schemas, closed.
    pub(crate) schemas: Value,
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
