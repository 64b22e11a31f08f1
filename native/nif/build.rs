//! Linker arguments that every build of the NIF needs, however cargo is called.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target_os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if target_os == "macos" {
        // The VM supplies the enif_* symbols when it loads the library.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup");
    } else if target_os != "windows" {
        // Threads of the library and destructors of thread-local storage outlive a purge of the Erlang
        // module: its code must stay mapped.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
