//! One check of `bets_fuzz` under libFuzzer. `BETS_FUZZ_TARGET` names it, the arguments are libFuzzer's; `bin/soak fuzz` sets both.
#![no_main]

use std::sync::OnceLock;

use bets_fuzz::Target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("BETS_FUZZ_TARGET").unwrap_or_default();
        let names: Vec<_> = bets_fuzz::TARGETS.iter().map(|target| target.name).collect();
        Target::named(&name).unwrap_or_else(|| panic!("BETS_FUZZ_TARGET must be one of {names:?}"))
    });
    target.run(data);
});
