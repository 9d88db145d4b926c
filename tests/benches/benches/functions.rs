//! Ivy's functions one by one, next to their baselines: `cargo bench -p ivy-benches`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ivy_benches::Load;

fn functions(criterion: &mut Criterion) {
    for (group, loads) in [
        ("codec", &["codec/ivy/small", "codec/baseline/small"][..]),
        ("codec of 60 KB", &["codec/ivy/objects", "codec/baseline/objects"]),
        ("arguments", &["arguments/floats/two", "arguments/floats/all"]),
        ("seal legacy", &["seal/ivy/legacy/small", "seal/baseline/legacy/small"]),
        ("open legacy", &["open/ivy/legacy/small", "open/baseline/legacy/small"]),
        ("seal bridge", &["seal/ivy/bridge/small", "seal/baseline/bridge/small"]),
        ("open bridge", &["open/ivy/bridge/small", "open/baseline/bridge/small"]),
        ("seal ivy2", &["seal/ivy/ivy2/small", "seal/baseline/ivy2/small"]),
        ("open ivy2", &["open/ivy/ivy2/small", "open/baseline/ivy2/small"]),
        ("broker", &["broker/cycle/1", "broker/touch/100"]),
        ("machines", &["machines/ivy/1000", "machines/ivy/1", "machines/baseline"]),
        ("producer", &["producer/1"]),
        ("worker", &["worker/1"]),
    ] {
        let mut group = criterion.benchmark_group(group);
        for name in loads {
            let mut load = Load::find(name).expect("the load exists");
            group.throughput(Throughput::Elements((load.step)().operations));
            group.bench_function(*name, |bencher| bencher.iter(|| (load.step)()));
        }
        group.finish();
    }
}

criterion_group!(all, functions);
criterion_main!(all);
