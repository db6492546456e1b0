//! Checks from memory: a hit, a miss and a plain GET over the same client library, in one run; hits on several threads; and
//! how long a logout elsewhere takes to be known.
//!
//! Tokens are JWTs of 340 bytes, asked for at random. `ENTRIES`, `ROUNDS` and `LOGOUTS` in the environment change how much
//! is measured.
//!
//! `cargo bench -p redis-session-benches --bench near_cache`

use std::alloc::{GlobalAlloc, Layout, System};
use std::env;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use redis_session::{CreateOptions, TokenFormat};
use redis_session_store::{Login, NearCache, Policy, ReconnectingConnection, SessionStore, StoreError, Visitor};
use redis_session_tests::{Server, jwk_set};

type Store = SessionStore<ReconnectingConnection>;

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn main() {
    let entries = number("ENTRIES", 100_000);
    let rounds = number("ROUNDS", 7);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("tokio");
    let server = Server::builder().file("keys.json", jwk_set(&["one"])).config("session.keys-file keys.json").start();
    let settings = NearCache::new().entries(2 * entries).bytes(usize::MAX).max_age(Duration::from_secs(86_400));
    let options = CreateOptions::new().token(TokenFormat::Jwt).ttl(Duration::from_secs(86_400));
    let policy = Policy::new(options.token_ttl(Duration::from_secs(86_400)));
    let plain = connect(&server).policy(policy);
    let store = plain.clone().near_cache(settings);
    let tokens = runtime.block_on(tokens(&plain, entries));
    println!("{entries} tokens of {} bytes", tokens[0].len());
    let before = BYTES.load(Ordering::Relaxed);
    runtime.block_on(fill(&store, &tokens));
    let held = BYTES.load(Ordering::Relaxed) - before;
    let figures = store.near_cache_figures().expect("a near cache");
    println!("{} bytes an entry, {} as NearCache::bytes counts them", held / entries, figures.bytes / entries);

    let mut connection = runtime.block_on(server.client().get_multiplexed_async_connection()).expect("a connection");
    redis::cmd("SET").arg("session:42").arg("x".repeat(200)).exec(&mut server.connection()).expect("SET");
    let none = plain.clone().near_cache(NearCache::new().max_age(Duration::ZERO));

    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    let mut group = criterion.benchmark_group("near cache");
    let mut random = Random(1);
    group.bench_function("hit", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(hits(&store, &tokens, &mut random, times)));
    });
    group.bench_function("miss", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(hits(&none, &tokens, &mut random, times)));
    });
    group.bench_function("VALIDATE without a near cache", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(hits(&plain, &tokens, &mut random, times)));
    });
    group.bench_function("GET", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(gets(&mut connection, times)));
    });
    group.finish();

    let (mut hit, mut get, mut both) = (vec![], vec![], vec![]);
    for _ in 0..rounds {
        let times = 1_000_000;
        hit.push(runtime.block_on(hits(&store, &tokens, &mut random, times)).as_secs_f64() / 1e6);
        get.push(runtime.block_on(gets(&mut connection, 5_000)).as_secs_f64() / 5e3);
        both.push(on_two_threads(&store, &tokens, times));
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    runtime.block_on(hits(&store, &tokens, &mut random, 100_000));
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let (hit, get) = (median(hit), median(get));
    println!("medians of {rounds}, {entries} entries asked at random");
    println!("  a hit, one thread       {:>12.0} ns, {allocations} allocations in 100,000", hit * 1e9);
    println!("  a GET, one after other  {:>12.0} ns, {:.0} times a hit", get * 1e9, get / hit);
    println!("  hits, two threads       {:>12.0} a second", median(both));
    runtime.block_on(logouts(&store, &plain, tokens));
}

fn connect(server: &Server) -> Store {
    SessionStore::connect(server.url()).expect("a URL")
}

async fn tokens(store: &Store, count: usize) -> Vec<String> {
    let mut tokens = Vec::with_capacity(count);
    for user in 0..count {
        let claims = r#"{"role":"editor","scope":"read write delete"}"#;
        let login = store.login(&Login::new(format!("user-{user:06}")).claims(claims)).await.expect("a login");
        tokens.push(login.token.expect("a token"));
    }
    tokens
}

async fn fill(store: &Store, tokens: &[String]) {
    // The first connects.
    for token in tokens.iter().take(1).chain(tokens) {
        store.authenticate(token, &Visitor::new()).await.expect("a good token");
    }
}

/// How long it takes to check so many tokens, one after the other.
async fn hits(store: &Store, tokens: &[String], random: &mut Random, times: u64) -> Duration {
    let visitor = Visitor::new();
    let start = Instant::now();
    for _ in 0..times {
        black_box(store.touch(&tokens[random.below(tokens.len())], &visitor).await.expect("a good token"));
    }
    start.elapsed()
}

async fn gets(connection: &mut redis::aio::MultiplexedConnection, times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        let value: Vec<u8> = redis::cmd("GET").arg("session:42").query_async(connection).await.expect("GET");
        black_box(value);
    }
    start.elapsed()
}

/// Checks a second of two threads.
fn on_two_threads(store: &Store, tokens: &[String], times: u64) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for seed in 1..=2 {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("tokio");
                runtime.block_on(hits(store, tokens, &mut Random(seed), times));
            });
        }
    });
    2.0 * times as f64 / start.elapsed().as_secs_f64()
}

/// How long after a logout elsewhere was acknowledged a token is still accepted, while another task checks 20,000 tokens a
/// second.
async fn logouts(store: &Store, elsewhere: &Store, tokens: Vec<String>) {
    let count = number("LOGOUTS", 2_000).min(tokens.len() / 2);
    let (gone, rest) = tokens.split_at(count);
    let is_over = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn({
        let (store, rest, is_over) = (store.clone(), rest.to_vec(), Arc::clone(&is_over));
        async move {
            let mut random = Random(9);
            let mut beat = tokio::time::interval(Duration::from_millis(1));
            while !is_over.load(Ordering::Relaxed) {
                beat.tick().await;
                for _ in 0..20 {
                    let _ = store.touch(&rest[random.below(rest.len())], &Visitor::new()).await;
                }
            }
        }
    });
    let mut times = Vec::new();
    for token in gone {
        store.authenticate(token, &Visitor::new()).await.expect("a good token");
        elsewhere.logout(token).await.expect("a logout");
        let acknowledged = Instant::now();
        while !matches!(store.authenticate(token, &Visitor::new()).await, Err(StoreError::Refused(_))) {
            tokio::task::yield_now().await;
        }
        times.push(acknowledged.elapsed().as_secs_f64());
    }
    is_over.store(true, Ordering::Relaxed);
    load.await.expect("the load");
    times.sort_by(f64::total_cmp);
    let part = |hundredths: usize| times[(times.len() * hundredths / 100).min(times.len() - 1)] * 1e6;
    println!("  a logout elsewhere, to the refusal here, of {count}, under load:");
    println!("    median {:.0} us, 99th percentile {:.0} us, most {:.0} us", part(50), part(99), part(100));
}

fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap_or(0)
    }
}
