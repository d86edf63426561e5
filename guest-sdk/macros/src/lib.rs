//! The `coroutine` attribute and the `manifest` macro of corovan-guest: what a module exports, and what it says of itself.

mod function;
mod libc_names;
mod manifest;

use proc_macro::TokenStream;

/// Documented where it is used from, as `corovan_guest::coroutine`.
#[proc_macro_attribute]
pub fn coroutine(arguments: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Documented where it is used from, as `corovan_guest::manifest`.
#[proc_macro]
pub fn manifest(input: TokenStream) -> TokenStream {
    manifest::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
