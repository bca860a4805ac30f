//! An interface as text, one field a line. (zlink's own text puts comments behind opening parentheses and
//! joins fields, which people cannot read.)

use std::fmt::Write;
use zlink::idl::{Comment, CustomType, Field, Interface, Type};

/// An interface as text, as `idl/*.varlink` and `org.varlink.service.GetInterfaceDescription` have it.
pub fn describe(interface: &Interface<'_>) -> String {
    let mut text = String::new();
    comments(&mut text, "", interface.comments());
    line(&mut text, format_args!("interface {}", interface.name()));
    for custom in interface.custom_types() {
        text.push('\n');
        custom_type(&mut text, custom);
    }
    for method in interface.methods() {
        text.push('\n');
        comments(&mut text, "", method.comments());
        let inputs = fields(method.inputs());
        let outputs = fields(method.outputs());
        line(&mut text, format_args!("method {}({inputs}) -> ({outputs})", method.name()));
    }
    for error in interface.errors() {
        text.push('\n');
        comments(&mut text, "", error.comments());
        line(&mut text, format_args!("error {} ({})", error.name(), fields(error.fields())));
    }
    text
}

fn custom_type(text: &mut String, custom: &CustomType<'_>) {
    match custom {
        CustomType::Object(object) => {
            comments(text, "", object.comments());
            line(text, format_args!("type {} ({})", object.name(), fields(object.fields())));
        }
        CustomType::Enum(names) => {
            comments(text, "", names.comments());
            let mut body = String::new();
            for (index, variant) in names.variants().enumerate() {
                body.push_str(if index == 0 { "\n" } else { ",\n" });
                comments(&mut body, "  ", variant.comments());
                let _ = write!(body, "  {}", variant.name());
            }
            line(text, format_args!("type {} ({body}\n)", names.name()));
        }
    }
}

/// The fields between two parentheses; nothing if there are none.
fn fields<'a>(fields: impl Iterator<Item = &'a Field<'a>>) -> String {
    let mut body = String::new();
    for (index, field) in fields.enumerate() {
        body.push_str(if index == 0 { "\n" } else { ",\n" });
        comments(&mut body, "  ", field.comments());
        let ty: &Type<'_> = field.ty();
        let _ = write!(body, "  {}: {ty}", field.name());
    }
    if !body.is_empty() {
        body.push('\n');
    }
    body
}

fn comments<'a>(text: &mut String, indent: &str, comments: impl Iterator<Item = &'a Comment<'a>>) {
    for comment in comments {
        line(text, format_args!("{indent}# {}", comment.text().trim()));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(content);
    text.push('\n');
}
