// SPDX-License-Identifier: Apache-2.0
//! Prints the build id, for the makefile that names the runtime directory after it.

#[allow(clippy::print_stdout, reason = "printing is its purpose")]
fn main() {
    println!("{}", model::BUILD_ID);
}
