//! Shapes as data: what a JSON value may look like, and the complaint a live service makes when it does not.
//!
//! In: a shape (see [`super::shapes`]), a JSON value, the path to it. Out: the first [`Refused`], worded and coded as the
//! services do (`unknown_parameter`, `missing_required_parameter`, `invalid_type`, `invalid_value`).

use serde_json::{Map, Value};

/// Why an event is refused; becomes an `error` event, the socket stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: &'static str,
    pub message: String,
    /// Dotted path of the field.
    pub param: Option<String>,
}

impl Refused {
    pub fn new(code: &'static str, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), param: None }
    }
    pub fn at(mut self, param: impl Into<String>) -> Refused {
        self.param = Some(param.into());
        self
    }
}

/// A JSON value as the API describes it. Bounds are inclusive.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Any,
    AnyObject,
    Bool,
    Null,
    /// A string of at most so many characters.
    Text(usize),
    Base64,
    Int(i64, i64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    Nullable(&'static Shape),
    /// Items, and how many there may be.
    List(&'static Shape, usize, usize),
    /// String values under free names: entries, name length, value length.
    Strings(usize, usize, usize),
    Fields(&'static [Field]),
    /// The string under the first name picks the fields; the name itself must not be listed in them.
    Tagged(&'static str, &'static [(&'static str, Shape)]),
    /// Shapes of different JSON kinds; the value's kind picks one.
    Either(&'static [Shape]),
}

/// One named member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
}

/// A member that must be there.
pub const fn need(name: &'static str, shape: Shape) -> Field {
    Field { name, required: true, shape }
}
/// A member that may be there.
pub const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, required: false, shape }
}

impl Shape {
    /// Checks `value` at `path`; the first problem is the answer.
    pub fn check(&self, value: &Value, path: &str) -> Result<(), Refused> {
        match (self, value) {
            (Shape::Any, _) | (Shape::AnyObject, Value::Object(_)) | (Shape::Bool, Value::Bool(_)) => Ok(()),
            (Shape::Null | Shape::Nullable(_), Value::Null) => Ok(()),
            (Shape::Nullable(inner), _) => inner.check(value, path),
            (Shape::Text(longest), Value::String(text)) => check_text(text, *longest, path),
            (Shape::Base64, Value::String(text)) => check_base64(text, path),
            (Shape::Int(low, high), Value::Number(number)) => match number.as_i64() {
                Some(n) => check_range(n as f64, *low as f64, *high as f64, path),
                None => Err(wrong_type(self, value, path)),
            },
            (Shape::Number(low, high), Value::Number(number)) => {
                check_range(number.as_f64().unwrap_or(f64::NAN), *low, *high, path)
            }
            (Shape::OneOf(known), Value::String(text)) => check_one_of(text, known, path),
            (Shape::List(inner, fewest, most), Value::Array(items)) => {
                if items.len() < *fewest || items.len() > *most {
                    let message =
                        format!("Invalid '{path}': expected {fewest} to {most} entries, got {}.", items.len());
                    return Err(Refused::new("invalid_value", message).at(path));
                }
                items.iter().enumerate().try_for_each(|(i, item)| inner.check(item, &format!("{path}[{i}]")))
            }
            (Shape::Strings(entries, name, text), Value::Object(map)) => {
                check_strings(map, (*entries, *name, *text), path)
            }
            (Shape::Fields(fields), Value::Object(map)) => check_fields(fields, &[], map, path),
            (Shape::Tagged(tag, variants), Value::Object(map)) => check_tagged(tag, variants, map, path),
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| shape.takes(value)) {
                Some(shape) => shape.check(value, path),
                None => Err(wrong_type(self, value, path)),
            },
            _ => Err(wrong_type(self, value, path)),
        }
    }

    fn takes(&self, value: &Value) -> bool {
        match self {
            Shape::Any => true,
            Shape::Null => value.is_null(),
            Shape::Nullable(inner) => value.is_null() || inner.takes(value),
            Shape::Bool => value.is_boolean(),
            Shape::Text(_) | Shape::Base64 | Shape::OneOf(_) => value.is_string(),
            Shape::Int(..) | Shape::Number(..) => value.is_number(),
            Shape::List(..) => value.is_array(),
            Shape::AnyObject | Shape::Strings(..) | Shape::Fields(_) | Shape::Tagged(..) => value.is_object(),
            Shape::Either(shapes) => shapes.iter().any(|shape| shape.takes(value)),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Shape::Any => "a value",
            Shape::Null => "null",
            Shape::Nullable(inner) => inner.expected(),
            Shape::Bool => "a boolean",
            Shape::Text(_) | Shape::Base64 | Shape::OneOf(_) => "a string",
            Shape::Int(..) => "an integer",
            Shape::Number(..) => "a decimal",
            Shape::List(..) => "an array",
            Shape::AnyObject | Shape::Strings(..) | Shape::Fields(_) | Shape::Tagged(..) => "an object",
            Shape::Either(_) => "one of several types",
        }
    }
}

/// Checks an object's members; members named in `also` are taken as checked.
pub fn check_fields(fields: &[Field], also: &[&str], map: &Map<String, Value>, path: &str) -> Result<(), Refused> {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(field) = fields.iter().find(|field| field.required && !map.contains_key(field.name)) {
        let param = join(field.name);
        let message = format!("Missing required parameter: '{param}'.");
        return Err(Refused::new("missing_required_parameter", message).at(param));
    }
    for (name, value) in map.iter().filter(|(name, _)| !also.contains(&name.as_str())) {
        let param = join(name);
        match fields.iter().find(|field| field.name == name) {
            Some(field) => field.shape.check(value, &param)?,
            None => {
                let message = format!("Unknown parameter: '{param}'.");
                return Err(Refused::new("unknown_parameter", message).at(param));
            }
        }
    }
    Ok(())
}

fn check_tagged(
    tag: &'static str,
    variants: &[(&'static str, Shape)],
    map: &Map<String, Value>,
    path: &str,
) -> Result<(), Refused> {
    let param = format!("{path}.{tag}");
    let Some(value) = map.get(tag) else {
        let message = format!("Missing required parameter: '{param}'.");
        return Err(Refused::new("missing_required_parameter", message).at(param));
    };
    let Value::String(text) = value else {
        return Err(wrong_type(&Shape::OneOf(&[]), value, &param));
    };
    match variants.iter().find(|(name, _)| name == text) {
        Some((_, Shape::Fields(fields))) => check_fields(fields, &[tag], map, path),
        Some((_, Shape::Tagged(inner, variants))) => {
            let mut rest = map.clone();
            rest.remove(tag);
            check_tagged(inner, variants, &rest, path)
        }
        Some((_, other)) => other.check(&Value::Object(map.clone()), path),
        None => {
            let known: Vec<&str> = variants.iter().map(|(name, _)| *name).collect();
            check_one_of(text, &known, &param)
        }
    }
}

fn check_text(text: &str, longest: usize, path: &str) -> Result<(), Refused> {
    if text.len() > longest && text.chars().count() > longest {
        let message = format!("Invalid '{path}': string too long. Expected a string with maximum length {longest}.");
        return Err(Refused::new("string_above_max_length", message).at(path));
    }
    Ok(())
}

fn check_base64(text: &str, path: &str) -> Result<(), Refused> {
    if base64_simd::STANDARD.check(text.as_bytes()).is_err() {
        return Err(Refused::new("invalid_value", format!("Invalid '{path}': expected base64-encoded audio.")).at(path));
    }
    Ok(())
}

fn check_range(value: f64, low: f64, high: f64, path: &str) -> Result<(), Refused> {
    if value >= low && value <= high {
        return Ok(());
    }
    let (what, bound) = if value < low { ("below minimum", low) } else { ("above maximum", high) };
    let sign = if value < low { ">=" } else { "<=" };
    let message = format!("Invalid '{path}': {what} value. Expected a value {sign} {bound}, but got {value} instead.");
    Err(Refused::new("invalid_value", message).at(path))
}

fn check_one_of(text: &str, known: &[&str], path: &str) -> Result<(), Refused> {
    if known.contains(&text) {
        return Ok(());
    }
    let text: String = text.chars().take(64).collect();
    let known = known.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    Err(Refused::new("invalid_value", format!("Invalid value: '{text}'. Supported values are: {known}.")).at(path))
}

fn check_strings(map: &Map<String, Value>, most: (usize, usize, usize), path: &str) -> Result<(), Refused> {
    if map.len() > most.0 {
        let message = format!("Invalid '{path}': too many properties. Expected at most {}.", most.0);
        return Err(Refused::new("invalid_value", message).at(path));
    }
    for (name, value) in map {
        let param = format!("{path}.{}", name.chars().take(64).collect::<String>());
        check_text(name, most.1, &param)?;
        Shape::Text(most.2).check(value, &param)?;
    }
    Ok(())
}

fn wrong_type(shape: &Shape, value: &Value, path: &str) -> Refused {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    let message = format!("Invalid type for '{path}': expected {}, but got {got} instead.", shape.expected());
    Refused::new("invalid_type", message).at(path)
}
