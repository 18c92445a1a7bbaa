// SPDX-License-Identifier: Apache-2.0
//! Links the extension so that it is never unloaded: its threads and thread-local destructors outlive any handle.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
