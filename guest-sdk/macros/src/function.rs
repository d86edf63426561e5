//! `#[coroutine]`: leaves the function as it is, and puts beside it an export that reads its arguments, calls it and records
//! its result, and an entry of the manifest.

use crate::libc_names::LIBC_NAMES;
use crate::manifest::{Entry, Function, section};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, FnArg, Ident, ItemFn, Lit, Meta, Pat, Result, ReturnType, Type};

pub fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "#[coroutine] takes no arguments"));
    }
    let mut function: ItemFn = syn::parse2(item)?;
    check(&function)?;
    let parameters = parameters(&mut function)?;
    let (result, finish) = result(&function.sig.output);

    let name = function.sig.ident.unraw().to_string();
    let manifest = section(&Entry {
        functions: vec![Function {
            name: name.clone(),
            parameters: Some(parameters.iter().map(|parameter| parameter.text.clone()).collect()),
            result: Some(result),
            doc: doc(&function.attrs),
        }],
        ..Entry::default()
    });

    let ident = &function.sig.ident;
    let (described, takes, names): (Vec<_>, Vec<_>, Vec<_>) = multiple(&parameters);
    let body = quote! { #(#takes)* #finish(#ident(#(#names),*)); };
    // Where there is no argument, `arguments` is not used.
    let arguments = if parameters.is_empty() { quote!(_) } else { quote!(__arguments) };
    Ok(quote! {
        #function

        const _: () = {
            use ::corovan_guest::__private as __corovan;

            static SIGNATURE: __corovan::Signature =
                __corovan::Signature { name: #name, parameters: &[#(#described),*] };

            // Elsewhere than on a node nothing can call it; it is still compiled, so that mistakes are seen there too.
            #[cfg_attr(target_family = "wasm", unsafe(export_name = #name))]
            #[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
            extern "C" fn __export() {
                #[allow(unreachable_code, clippy::diverging_sub_expression, clippy::unit_arg)]
                __corovan::run(&SIGNATURE, |#arguments| {
                    #body
                    ::core::result::Result::Ok(())
                });
            }

            #manifest
        };
    })
}

struct Parameter {
    name: Ident,
    ty: Type,
    text: String,
    kind: &'static str,
}

type Parts = (Vec<TokenStream>, Vec<TokenStream>, Vec<Ident>);

/// What describes each parameter, what reads it, and the variable it is in then.
fn multiple(parameters: &[Parameter]) -> Parts {
    let mut parts = Parts::default();
    for (i, parameter) in parameters.iter().enumerate() {
        let Parameter { ty, text, kind, .. } = parameter;
        let variable = Ident::new(&format!("__argument_{i}"), Span::mixed_site());
        let kind = Ident::new(kind, Span::mixed_site());
        let method = Ident::new(if kind == "Rest" { "take_rest" } else { "take" }, Span::mixed_site());
        parts.0.push(quote!(__corovan::Parameter { text: #text, kind: __corovan::Kind::#kind }));
        // The type's own place, so that "the trait Deserialize is not implemented" points at it.
        parts.1.push(quote_spanned!(ty.span()=> let #variable: #ty = __arguments.#method()?;));
        parts.2.push(variable);
    }
    parts
}

/// Reads the parameters, and takes `#[rest]` off: it is ours, the compiler does not know it.
fn parameters(function: &mut ItemFn) -> Result<Vec<Parameter>> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for input in &mut function.sig.inputs {
        if let Some(last) = parameters.last().filter(|last| last.kind == "Rest") {
            return Err(Error::new(
                last.name.span(),
                "a #[rest] parameter takes all that is left, so it must be the last",
            ));
        }
        let input = match input {
            FnArg::Typed(input) => input,
            FnArg::Receiver(receiver) => {
                return Err(Error::new(receiver.span(), "a coroutine function is not a method"));
            }
        };
        let before = input.attrs.len();
        input.attrs.retain(|attribute| !attribute.path().is_ident("rest"));
        let rest = input.attrs.len() < before;
        let Pat::Ident(pattern) = &*input.pat else {
            return Err(Error::new(
                input.pat.span(),
                "a parameter needs a name: it is shown to whoever calls the function",
            ));
        };
        if let Type::Reference(reference) = &*input.ty {
            return Err(Error::new(
                reference.span(),
                "arguments are owned by the function: take String or Vec<T> here",
            ));
        }
        let kind = match () {
            () if rest => "Rest",
            () if is_named(&input.ty, "Option") => "Optional",
            () => "Required",
        };
        let text = format!("{}: {}", pattern.ident.unraw(), in_words(&input.ty));
        parameters.push(Parameter { name: pattern.ident.clone(), ty: (*input.ty).clone(), text, kind });
    }
    Ok(parameters)
}

/// How the result is told in the manifest, and what is done with it.
fn result(output: &ReturnType) -> (String, TokenStream) {
    match output {
        ReturnType::Default => ("()".to_owned(), quote!(__corovan::returned)),
        ReturnType::Type(_, ty) => {
            let finish = match &**ty {
                Type::Tuple(tuple) if tuple.elems.is_empty() => quote!(__corovan::returned),
                Type::Never(_) => quote!(__corovan::returned),
                ty if is_named(ty, "Result") => quote!(__corovan::finished_or_failed),
                _ => quote!(__corovan::finished),
            };
            (in_words(ty), finish)
        }
    }
}

fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let name = signature.ident.unraw().to_string();
    let refuse = |span: Span, text: &str| Err(Error::new(span, text));
    if let Some(word) = &signature.asyncness {
        return refuse(word.span(), "calls that wait suspend the coroutine by themselves: a plain fn is enough");
    }
    if let Some(word) = &signature.unsafety {
        return refuse(word.span(), "a client can run this with any arguments, so it cannot be unsafe");
    }
    if !signature.generics.params.is_empty() {
        return refuse(signature.generics.span(), "a coroutine function has no generics: its types must be known");
    }
    if signature.abi.is_some() || signature.variadic.is_some() {
        return refuse(signature.span(), "a coroutine function is a plain fn; the attribute makes its export");
    }
    if ["_start", "_initialize", "memory", "main"].contains(&name.as_str()) || name.starts_with("__") {
        return refuse(signature.ident.span(), "this name has a meaning of its own in a module; choose another");
    }
    // An export and a symbol are one thing to the linker: ours would take the place of the C library's inside it.
    if LIBC_NAMES.binary_search(&name.as_str()).is_ok() {
        let text = format!(
            "the C library in every module has a function `{name}`, which this would replace; choose another name"
        );
        return refuse(signature.ident.span(), &text);
    }
    Ok(())
}

/// Whether a type is written as this name, with or without a path before it.
fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// A type as a person writes it; tokens are printed with a space around each.
fn in_words(ty: &Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (tokens, written) in
        [(" :: ", "::"), (" <", "<"), ("< ", "<"), (" >", ">"), (" ,", ","), ("& ", "&"), (" ;", ";")]
    {
        text = text.replace(tokens, written);
    }
    for (tokens, written) in [("( ", "("), (" )", ")"), ("[ ", "["), (" ]", "]")] {
        text = text.replace(tokens, written);
    }
    text
}

/// The doc comment, each line without the space that follows `///`.
fn doc(attributes: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Str(text) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        })
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned())
        .collect();
    let text = lines.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap_err().to_string()
    }

    #[test]
    fn functions_that_cannot_be_run_by_name_are_refused_with_the_reason() {
        assert!(
            refusal(quote!(
                async fn f() {}
            ))
            .contains("a plain fn is enough")
        );
        assert!(
            refusal(quote!(
                unsafe fn f() {}
            ))
            .contains("cannot be unsafe")
        );
        assert!(
            refusal(quote!(
                fn f<T>(t: T) {}
            ))
            .contains("no generics")
        );
        assert!(
            refusal(quote!(
                fn f(&self) {}
            ))
            .contains("not a method")
        );
        assert!(
            refusal(quote!(
                fn f(text: &str) {}
            ))
            .contains("String")
        );
        assert!(
            refusal(quote!(
                fn f((a, b): (u8, u8)) {}
            ))
            .contains("needs a name")
        );
        assert!(
            refusal(quote!(
                fn f(#[rest] a: Vec<u8>, b: u8) {}
            ))
            .contains("must be the last")
        );
        assert!(
            refusal(quote!(
                fn memory() {}
            ))
            .contains("a meaning of its own")
        );
        assert!(
            refusal(quote!(
                fn sleep(n: f64) {}
            ))
            .contains("C library")
        );
        assert!(
            expand(
                quote!(name = "f"),
                quote!(
                    fn f() {}
                )
            )
            .is_err()
        );
    }

    #[test]
    fn types_are_told_as_a_person_writes_them() {
        for text in ["Vec<f64>", "Option<std::time::Duration>", "(u8, [f64; 3])", "Result<Vec<u8>, String>", "()"] {
            assert_eq!(in_words(&syn::parse_str(text).unwrap()), text);
        }
    }

    #[test]
    fn only_our_own_attribute_is_taken_off() {
        let text = expand(
            TokenStream::new(),
            quote!(
                #[inline]
                fn f(#[rest] a: Vec<u8>) {}
            ),
        )
        .unwrap()
        .to_string();
        assert!(!text.contains("rest]") && text.contains("inline"), "{text}");
    }

    #[test]
    fn a_raw_name_is_told_without_its_mark() {
        let text = expand(
            TokenStream::new(),
            quote!(
                fn r#match(r#type: u8) {}
            ),
        )
        .unwrap()
        .to_string();
        assert!(text.contains("\"match\"") && text.contains("\"type: u8\""), "{text}");
    }

    #[test]
    fn the_names_of_the_c_library_are_in_order_for_the_search() {
        assert!(LIBC_NAMES.is_sorted());
    }
}
