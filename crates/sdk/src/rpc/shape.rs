//! What a service describes itself to take, and which parameter of a call is not that.
//!
//! zlink says of a call that it does not fit, not why. The interface's description says what would.

use std::collections::HashMap;

use serde_json::{Map, Value};
use zlink::idl::{CustomType, Field, Interface, Type};

/// Types inside types are looked at this deep; what is deeper fits.
const DEPTH_MAX: u32 = 16;

/// The interfaces of a service.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Without methods where the description could not be understood: then anything may be a method of it.
    interfaces: HashMap<String, Option<Described>>,
}

/// One interface.
#[derive(Debug, Default)]
struct Described {
    methods: HashMap<String, Vec<(String, Shape)>>,
    types: HashMap<String, Shape>,
}

/// A type, as far as a value can be held against it.
#[derive(Debug)]
enum Shape {
    Bool,
    Int,
    Float,
    Text,
    Object,
    Any,
    Optional(Box<Shape>),
    List(Box<Shape>),
    Map(Box<Shape>),
    Named(String),
    OneOf(Vec<String>),
    Fields(Vec<(String, Shape)>),
}

/// What is wrong with a method's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unknown<'a> {
    Interface(&'a str),
    Method(&'a str),
}

impl Known {
    /// Adds an interface by its description.
    pub fn add(&mut self, name: &str, description: &str) {
        let described = Interface::try_from(description).ok().map(|interface| Described::of(&interface));
        self.interfaces.insert(name.to_owned(), described);
    }

    /// Whether there is such a method.
    pub fn find<'a>(&self, method: &'a str) -> Result<(), Unknown<'a>> {
        let (interface, name) = method.rsplit_once('.').unwrap_or(("", method));
        match self.interfaces.get(interface) {
            None => Err(Unknown::Interface(interface)),
            Some(Some(described)) if !described.methods.contains_key(name) => Err(Unknown::Method(method)),
            Some(_) => Ok(()),
        }
    }

    /// The parameter that a method cannot take; `parameters` where it cannot be told.
    pub fn blame(&self, method: &str, parameters: &Value) -> String {
        const UNKNOWN: &str = "parameters";
        let empty = Map::new();
        let given = match parameters {
            Value::Object(given) => given,
            Value::Null => &empty,
            _ => return UNKNOWN.to_owned(),
        };
        let (interface, name) = method.rsplit_once('.').unwrap_or(("", method));
        let Some(Some(described)) = self.interfaces.get(interface) else { return UNKNOWN.to_owned() };
        let Some(wanted) = described.methods.get(name) else { return UNKNOWN.to_owned() };
        let wrong = wanted.iter().find(|(field, shape)| !described.fits(shape, given.get(field), 0));
        let extra = || given.keys().find(|key| !wanted.iter().any(|(field, _)| field == *key));
        // Of the right kind and still not taken: a number out of its range. With one of them it is clear which.
        let only = || if wanted.len() == 1 { wanted.first() } else { None };
        match wrong.map(|(field, _)| field).or_else(extra).or_else(|| only().map(|(field, _)| field)) {
            Some(field) => field.clone(),
            None => UNKNOWN.to_owned(),
        }
    }
}

impl Described {
    fn of(interface: &Interface<'_>) -> Described {
        let methods = interface.methods().map(|method| (method.name().to_string(), fields(method.inputs())));
        let types = interface.custom_types().map(|custom| match custom {
            CustomType::Object(object) => (object.name().to_string(), Shape::Fields(fields(object.fields()))),
            CustomType::Enum(words) => {
                let variants = words.variants().map(|variant| variant.name().to_string());
                (words.name().to_string(), Shape::OneOf(variants.collect()))
            }
        });
        Described { methods: methods.collect(), types: types.collect() }
    }

    fn fits(&self, shape: &Shape, value: Option<&Value>, depth: u32) -> bool {
        if depth > DEPTH_MAX {
            return true;
        }
        let deeper = |shape: &Shape, value: &Value| self.fits(shape, Some(value), depth + 1);
        let value = match value {
            None | Some(Value::Null) => return matches!(shape, Shape::Optional(_) | Shape::Any),
            Some(value) => value,
        };
        match shape {
            Shape::Any => true,
            Shape::Bool => value.is_boolean(),
            Shape::Int => value.is_i64() || value.is_u64(),
            Shape::Float => value.is_number(),
            Shape::Text => value.is_string(),
            Shape::Object => value.is_object(),
            Shape::Optional(inner) => deeper(inner, value),
            Shape::List(inner) => {
                value.as_array().is_some_and(|all| all.iter().all(|one| deeper(inner, one)))
            }
            Shape::Map(inner) => {
                value.as_object().is_some_and(|all| all.values().all(|one| deeper(inner, one)))
            }
            Shape::Named(name) => self.types.get(name).is_none_or(|shape| deeper(shape, value)),
            Shape::OneOf(words) => value.as_str().is_some_and(|word| words.iter().any(|known| known == word)),
            Shape::Fields(fields) => value.as_object().is_some_and(|given| {
                fields.iter().all(|(field, shape)| self.fits(shape, given.get(field), depth + 1))
            }),
        }
    }
}

fn fields<'a>(fields: impl Iterator<Item = &'a Field<'a>>) -> Vec<(String, Shape)> {
    fields.map(|field| (field.name().to_string(), shape(field.ty()))).collect()
}

fn shape(ty: &Type<'_>) -> Shape {
    match ty {
        Type::Bool => Shape::Bool,
        Type::Int => Shape::Int,
        Type::Float => Shape::Float,
        Type::String => Shape::Text,
        Type::ForeignObject => Shape::Object,
        Type::Any => Shape::Any,
        Type::Optional(inner) => Shape::Optional(Box::new(shape(inner.inner()))),
        Type::Array(inner) => Shape::List(Box::new(shape(inner.inner()))),
        Type::Map(inner) => Shape::Map(Box::new(shape(inner.inner()))),
        Type::Custom(name) => Shape::Named(name.to_string()),
        Type::Enum(words) => Shape::OneOf(words.iter().map(|word| word.name().to_string()).collect()),
        Type::Object(list) => Shape::Fields(fields(list.iter())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DESCRIPTION: &str = "interface org.example.Shapes\n\
        type Point (x: int, y: ?int)\n\
        type Colour (red, green)\n\
        type Tree (name: string, children: []Tree)\n\
        method Draw(points: []Point, colour: ?Colour, scale: float, tags: [string]bool) -> ()\n\
        method Grow(tree: Tree) -> ()\n\
        method Nothing() -> ()\n\
        error Oops (why: string)\n";

    fn known() -> Known {
        let mut known = Known::default();
        known.add("org.example.Shapes", DESCRIPTION);
        known.add("org.example.Odd", "this is no description");
        known
    }

    #[test]
    fn what_there_is_not_is_named() {
        let known = known();
        assert_eq!(known.find("org.example.Shapes.Draw"), Ok(()));
        let unknown = Unknown::Method("org.example.Shapes.Paint");
        assert_eq!(known.find("org.example.Shapes.Paint"), Err(unknown));
        assert_eq!(known.find("org.example.Other.Draw"), Err(Unknown::Interface("org.example.Other")));
        assert_eq!(known.find("Draw"), Err(Unknown::Interface("")));
        assert_eq!(known.find("org.example.Odd.Whatever"), Ok(()));
    }

    #[test]
    fn the_parameter_that_does_not_fit_is_blamed() {
        let known = known();
        let draw = |value: Value| known.blame("org.example.Shapes.Draw", &value);
        assert_eq!(draw(json!({})), "points");
        assert_eq!(draw(json!(7)), "parameters");
        assert_eq!(draw(json!({"points": [{"x": 1}, {"y": 1}]})), "points");
        assert_eq!(draw(json!({"points": [{"x": 1}]})), "scale");
        assert_eq!(draw(json!({"points": [], "colour": "blue", "scale": 1})), "colour");
        assert_eq!(draw(json!({"points": [], "scale": 1, "tags": {"a": 1}})), "tags");
        assert_eq!(draw(json!({"points": [], "scale": 1, "tags": {}})), "parameters");
        assert_eq!(known.blame("org.example.Shapes.Nothing", &json!({"what": 1})), "what");
        let tree = json!({"tree": {"name": "a", "children": [{"name": 1, "children": []}]}});
        assert_eq!(known.blame("org.example.Shapes.Grow", &tree), "tree");
    }
}
