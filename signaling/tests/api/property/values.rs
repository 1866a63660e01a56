//! Values by a schema, and what may be wrong with them.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};
use signaling::id::EventId;

/// How deep a value may be.
const DEPTH: usize = 6;
/// How often something is wrong.
const WRONG: f64 = 0.4;

/// Makes values.
pub(super) struct Values<'a> {
    /// Where references lead.
    pub(super) document: &'a Value,
    /// Ids of things that there are.
    pub(super) ids: &'a [String],
    pub(super) random: &'a mut StdRng,
}

impl Values<'_> {
    /// A value of that schema, often with one thing wrong.
    pub(super) fn good_or_bad(&mut self, schema: &Value) -> Value {
        let mut value = self.good(schema, 0);
        if self.random.random_bool(WRONG) {
            self.spoil(&mut value);
        }
        value
    }

    fn good(&mut self, schema: &Value, depth: usize) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let schema = self.document.pointer(reference.trim_start_matches('#')).unwrap().clone();
            return self.good(&schema, depth);
        }
        if let Some(all) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in all {
                if let Value::Object(members) = self.good(part, depth) {
                    whole.extend(members);
                }
            }
            return Value::Object(whole);
        }
        for choice in ["oneOf", "anyOf", "enum"] {
            if let Some(one) = schema[choice].as_array().and_then(|all| all.choose(self.random)).cloned() {
                return if choice == "enum" { one } else { self.good(&one, depth + 1) };
            }
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => vec!["object"],
        };
        match *kinds.choose(self.random).unwrap() {
            "string" => self.text(schema),
            "integer" | "number" => {
                let least = schema["minimum"].as_u64().unwrap_or(0);
                let most = schema["maximum"].as_u64().unwrap_or(10).max(least);
                json!(self.random.random_range(least..=most))
            }
            "boolean" => json!(self.random.random_bool(0.5)),
            "array" if depth < DEPTH => {
                let count = self.random.random_range(0..=3);
                (0..count).map(|_| self.good(&schema["items"], depth + 1)).collect()
            }
            "array" => json!([]),
            "null" => Value::Null,
            _ => self.object(schema, depth),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut members = Map::new();
        let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || depth < DEPTH && self.random.random_bool(0.5) {
                members.insert(name.clone(), self.good(schema, depth + 1));
            }
        }
        Value::Object(members)
    }

    fn text(&mut self, schema: &Value) -> Value {
        if let Some(pattern) = schema["pattern"].as_str() {
            // Ours are of ids: a prefix and digits.
            let prefix = pattern.trim_start_matches('^').split('_').next().unwrap();
            let known: Vec<_> = self.ids.iter().filter(|id| id.starts_with(prefix)).collect();
            return match known.choose(self.random) {
                Some(id) if self.random.random_bool(0.9) => json!(id),
                _ => json!(EventId::generate().to_string().replace("evt", prefix)),
            };
        }
        if schema["format"] == "date-time" {
            let times = ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999+01:00"];
            return json!(times.choose(self.random).unwrap());
        }
        let least = schema["minLength"].as_u64().unwrap_or(0) as usize;
        let most = schema["maxLength"].as_u64().unwrap_or(40).min(200) as usize;
        let length = self.random.random_range(least..=most);
        let letters = ['a', 'b', 'z', ' ', '-', '0', 'é', '文', '🙂', '<', '&', '"', '\'', '%', '_', '*', '@'];
        json!((0..length).map(|_| *letters.choose(self.random).unwrap()).collect::<String>())
    }

    /// Makes one thing wrong, somewhere in it.
    fn spoil(&mut self, value: &mut Value) {
        match value {
            Value::Object(members) if !members.is_empty() && self.random.random_bool(0.85) => {
                let names: Vec<_> = members.keys().cloned().collect();
                let name = names.choose(self.random).unwrap();
                match self.random.random_range(0..4) {
                    0 => drop(members.remove(name)),
                    1 => drop(members.insert("somethingElse".to_owned(), json!(1))),
                    _ => self.spoil(members.get_mut(name).unwrap()),
                }
            }
            Value::Array(items) if !items.is_empty() && self.random.random_bool(0.6) => {
                let place = self.random.random_range(0..items.len());
                self.spoil(&mut items[place]);
            }
            Value::Array(items) => {
                let more = items.first().cloned().unwrap_or(json!("x"));
                items.extend(vec![more; 2000]);
            }
            other => *other = self.nonsense(),
        }
    }

    fn nonsense(&mut self) -> Value {
        match self.random.random_range(0..12) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(u64::MAX),
            4 => json!(1e300),
            5 => json!(""),
            6 => json!("x".repeat(40_000)),
            7 => json!("../../../etc/passwd"),
            8 => json!("a\u{0}b\u{202e}\r\nset-cookie: a=b\u{feff}"),
            9 => json!("' OR 1=1 --\" * NEAR( ^ :"),
            10 => (0..100).fold(json!(1), |inner, _| json!([inner])),
            _ => json!({"a": {}}),
        }
    }

    /// A value as an address may hold it, and sometimes as it may not.
    pub(super) fn in_address(&mut self, value: &str) -> String {
        match self.random.random_range(0..40) {
            0 => "%ff%fe".to_owned(),
            1 => "%00".to_owned(),
            2 => "..%2f..%2f".to_owned(),
            _ => value.bytes().take(2000).fold(String::new(), |text, byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => text + &char::from(byte).to_string(),
                _ => text + &format!("%{byte:02X}"),
            }),
        }
    }

    /// A value as text, and sometimes as something that is no JSON.
    pub(super) fn as_text(&mut self, value: &Value) -> Vec<u8> {
        let text = value.to_string().into_bytes();
        match self.random.random_range(0..30) {
            0 => text[..text.len() / 2].to_vec(),
            1 => Vec::new(),
            2 => [b"\xff\xfe".as_slice(), &text].concat(),
            3 => [text.as_slice(), b"x"].concat(),
            4 => "[".repeat(10_000).into_bytes(),
            _ => text,
        }
    }
}
