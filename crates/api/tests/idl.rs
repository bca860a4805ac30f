//! `idl/*.varlink` is what the code says. `SESSION0_WRITE_IDL=1 cargo test -p session0-api` writes it.

use std::path::PathBuf;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../idl").join(format!("{name}.varlink"))
}

#[test]
fn the_committed_descriptions_are_those_of_the_code() {
    for interface in session0_api::INTERFACES {
        let path = file(interface.name().as_str());
        let code = session0_api::describe(interface);
        if std::env::var_os("SESSION0_WRITE_IDL").is_some() {
            std::fs::write(&path, &code).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!(
                "read {}: {error}; SESSION0_WRITE_IDL=1 cargo test -p session0-api writes it",
                path.display()
            )
        });
        assert_eq!(
            committed,
            code,
            "{} is not what the code says; SESSION0_WRITE_IDL=1 cargo test -p session0-api writes it again",
            path.display()
        );
    }
}

#[test]
fn the_descriptions_can_be_read_back() {
    for interface in session0_api::INTERFACES {
        let text = session0_api::describe(interface);
        let read =
            zlink::idl::Interface::try_from(text.as_str()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read.name(), interface.name());
        assert_eq!(read.methods().count(), interface.methods().count());
        assert_eq!(read.custom_types().count(), interface.custom_types().count());
        assert_eq!(read.errors().count(), interface.errors().count());
    }
}

#[test]
fn every_type_that_is_used_is_described() {
    for interface in session0_api::INTERFACES {
        let described: Vec<&str> = interface.custom_types().map(|custom| custom.name().as_str()).collect();
        for method in interface.methods() {
            for field in method.inputs().chain(method.outputs()) {
                assert_described(field.ty(), &described, interface.name().as_str());
            }
        }
        for custom in interface.custom_types() {
            for field in custom.as_object().into_iter().flat_map(|object| object.fields()) {
                assert_described(field.ty(), &described, interface.name().as_str());
            }
        }
        for error in interface.errors() {
            for field in error.fields() {
                assert_described(field.ty(), &described, interface.name().as_str());
            }
        }
    }
}

fn assert_described(ty: &zlink::idl::Type<'_>, described: &[&str], interface: &str) {
    use zlink::idl::Type;
    match ty {
        Type::Custom(name) => {
            assert!(described.contains(&name.as_str()), "{interface} uses {name} and does not describe it");
        }
        Type::Optional(inner) | Type::Array(inner) | Type::Map(inner) => {
            assert_described(inner.inner(), described, interface);
        }
        Type::Object(fields) => {
            for field in fields.iter() {
                assert_described(field.ty(), described, interface);
            }
        }
        _ => {}
    }
}
