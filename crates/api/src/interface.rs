//! How methods and interfaces are described: one declaration makes the description that clients read and
//! ties every method's parameters to its reply.

use serde::{Deserialize, Serialize};
use zlink::idl;
use zlink::introspect::Type;

/// One method: its parameters are the type, its reply is named here.
pub trait Method: Serialize + for<'de> Deserialize<'de> {
    /// The full name, for instance `io.session0.Service.Start`.
    const NAME: &'static str;
    /// What it answers.
    type Reply: Serialize + for<'de> Deserialize<'de>;
    /// How it is described to clients.
    const DESCRIPTION: &'static idl::Method<'static>;
}

/// No parameters, or nothing to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct Nothing {}

/// The fields of a parameters or reply type, as the interface description lists them.
pub(crate) const fn fields<T: Type>() -> &'static [&'static idl::Field<'static>] {
    match T::TYPE.as_object() {
        Some(list) => match list.as_borrowed() {
            Some(fields) => fields,
            None => panic!("a described type has a constant list of fields"),
        },
        None => panic!("parameters and replies are objects"),
    }
}

/// The doc comments of a declaration as comments of the description.
macro_rules! comments {
    ($($text:literal)*) => {{
        const COMMENTS: &[&zlink::idl::Comment<'static>] =
            &[$(&zlink::idl::Comment::new($text.trim_ascii())),*];
        COMMENTS
    }};
}
pub(crate) use comments;

/// Declares an interface: its `NAME`, its `DESCRIPTION`, and [`Method`] for each parameters type. The doc
/// comments become the comments of the description.
macro_rules! interface {
    (
        $(#[doc = $about:literal])*
        interface $interface:literal;
        types [$($custom:ty),* $(,)?];
        errors $errors:ty;
        $( $(#[doc = $doc:literal])* method $name:literal ($parameters:ty) -> $reply:ty; )*
    ) => {
        /// The interface's name.
        pub const NAME: &str = $interface;

        $(
            impl $crate::interface::Method for $parameters {
                const NAME: &'static str = concat!($interface, ".", $name);
                type Reply = $reply;
                const DESCRIPTION: &'static zlink::idl::Method<'static> = &zlink::idl::Method::new(
                    zlink::names::TypeName::from_static_str_unchecked($name),
                    $crate::interface::fields::<$parameters>(),
                    $crate::interface::fields::<$reply>(),
                    $crate::interface::comments!($($doc)*),
                );
            }
        )*

        /// The interface's description.
        pub const DESCRIPTION: &zlink::idl::Interface<'static> = &zlink::idl::Interface::new(
            zlink::names::InterfaceName::from_static_str_unchecked($interface),
            &[$(<$parameters as $crate::interface::Method>::DESCRIPTION),*],
            &[$(<$custom as zlink::introspect::CustomType>::CUSTOM_TYPE),*],
            <$errors as zlink::introspect::ReplyError>::VARIANTS,
            $crate::interface::comments!($($about)*),
        );
    };
}
pub(crate) use interface;

/// Declares an interface's errors. (zlink's own derives take no variants that hold a struct, or take them
/// without comments.)
macro_rules! errors {
    (
        interface $interface:literal;
        $( $(#[doc = $doc:literal])* $variant:ident($content:ty), )*
    ) => {
        /// Why a call is refused. Every error carries Windows' error code, a sentence, and what helps.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Error {
            $( $(#[doc = $doc])* $variant($content), )*
        }

        impl Error {
            /// The full name, as clients see it.
            pub fn name(&self) -> &'static str {
                match self {
                    $( Error::$variant(_) => concat!($interface, ".", stringify!($variant)), )*
                }
            }

            /// Reads the error of this full name; `None` if this interface has none of it.
            pub fn read<'de, D: serde::Deserializer<'de>>(
                name: &str,
                parameters: D,
            ) -> Result<Option<Error>, D::Error> {
                match name {
                    $( concat!($interface, ".", stringify!($variant)) => {
                        <$content as serde::Deserialize>::deserialize(parameters)
                            .map(|content| Some(Error::$variant(content)))
                    } )*
                    _ => Ok(None),
                }
            }
        }

        impl serde::Serialize for Error {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct;
                let mut reply = serializer.serialize_struct("Error", 2)?;
                reply.serialize_field("error", self.name())?;
                match self {
                    $( Error::$variant(content) => reply.serialize_field("parameters", content)?, )*
                }
                reply.end()
            }
        }

        impl zlink::introspect::ReplyError for Error {
            const VARIANTS: &'static [&'static zlink::idl::Error<'static>] = &[$({
                const ERROR: &zlink::idl::Error<'static> = &zlink::idl::Error::new(
                    zlink::names::TypeName::from_static_str_unchecked(stringify!($variant)),
                    $crate::interface::fields::<$content>(),
                    $crate::interface::comments!($($doc)*),
                );
                ERROR
            }),*];
        }
    };
}
pub(crate) use errors;
