//! Checks from memory: a hit, a miss and a plain GET over the same client library, in one run; hits on several threads; and
//! how long a logout elsewhere takes to be known.
//!
//! Tokens are JWTs of 340 bytes, asked for at random. A request brings its token: the processor has just read it from a
//! socket. So tokens are put into a buffer, some at a time, before time is taken; once, they are not, and each token must
//! come from memory as well.
//!
//! The time is that of the thread on a processor, which other work on the machine lengthens less than that of the clock; that
//! of a round trip is the clock's. A plain map in shards, with the tokens as keys and without any promise, is asked for
//! comparison. `ENTRIES`, `ROUNDS` and `LOGOUTS` in the environment change how much is measured.
//!
//! `cargo bench -p redis-session-benches --bench near_cache`

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::env;
use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, RwLock};
use std::time::{Duration, Instant};

use criterion::Criterion;
use redis_session::{CreateOptions, TokenFormat};
use redis_session_store::{
    Authenticated, Login, NearCache, Policy, ReconnectingConnection, SessionStore, StoreError, Visitor,
};
use redis_session_tests::{Server, jwk_set};

type Store = SessionStore<ReconnectingConnection>;

/// How many tokens have arrived at a time: few enough for the processor's caches.
const ARRIVED: usize = 500;

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
        bencher.iter_custom(|times| runtime.block_on(checks(&store, &tokens, &mut random, times)));
    });
    group.bench_function("miss", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(checks(&none, &tokens, &mut random, times)));
    });
    group.bench_function("VALIDATE without a near cache", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(checks(&plain, &tokens, &mut random, times)));
    });
    group.bench_function("GET", |bencher| {
        bencher.iter_custom(|times| runtime.block_on(gets(&mut connection, times)));
    });
    group.finish();

    let map = Map::of(&runtime.block_on(checked(&store, &tokens)), &tokens);
    let [mut hit, mut cold, mut used, mut map_hit, mut map_cold] = [const { Vec::new() }; 5];
    let (mut get, mut both, mut map_both) = (vec![], vec![], vec![]);
    let times = 1_000_000;
    for _ in 0..rounds {
        let per_check = |time: Time| (time.wall.as_secs_f64() / 1e6, time.busy.as_secs_f64() / 1e6);
        hit.push(per_check(check_arrived(&store, &tokens, times, 1, || {})));
        map_hit.push(per_check(check_arrived(&map, &tokens, times, 1, || {})));
        cold.push(per_check(check_cold(&store, &tokens, times)));
        map_cold.push(per_check(check_cold(&map, &tokens, times)));
        let start = Time::now();
        runtime.block_on(uses(&store, &tokens, &mut random, times));
        used.push(per_check(start.since()));
        get.push(runtime.block_on(gets(&mut connection, 5_000)).as_secs_f64() / 5e3);
        both.push(on_two_threads(&store, &tokens, times));
        map_both.push(on_two_threads(&map, &tokens, times));
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    check_cold(&store, &tokens, 100_000);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let get = median(get);
    println!("medians of {rounds}, {entries} entries asked at random, by the processor's time (and the clock's)");
    let line = |what: &str, times: Vec<(f64, f64)>| {
        let (wall, busy): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        let (wall, busy) = (median(wall), median(busy));
        println!(
            "  {what:<34} {:>7.0} ns ({:.0} ns): a GET takes {:.0} times as long",
            busy * 1e9,
            wall * 1e9,
            get / busy
        );
    };
    line("a hit", hit);
    line("the same of a plain map", map_hit);
    line("a hit, the token from memory", cold);
    line("the same of a plain map", map_cold);
    line("the same, as a use of the session", used);
    println!(
        "  a GET, one after the other         {:>7.0} ns by the clock; {allocations} allocations in 100,000 hits",
        get * 1e9
    );
    let line = |what: &str, rates: Vec<(f64, f64)>| {
        let (wall, busy): (Vec<_>, Vec<_>) = rates.into_iter().unzip();
        println!("  {what:<34} {:>10.0} a second ({:.0})", median(busy), median(wall));
    };
    line("hits, two threads", both);
    line("the same of a plain map", map_both);
    runtime.block_on(logouts(&store, &plain, tokens));
}

/// Time by the clock, and that of the thread on a processor.
#[derive(Clone, Copy, Default)]
struct Time {
    wall: Duration,
    busy: Duration,
}

struct Start(Instant, Duration);

impl Time {
    fn now() -> Start {
        Start(Instant::now(), busy())
    }
}

impl Start {
    fn since(&self) -> Time {
        Time { wall: self.0.elapsed(), busy: busy() - self.1 }
    }
}

fn busy() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)).expect("a time")
}

/// What is asked.
trait Asked: Sync {
    /// Asks of a token, and throws the answer away. Of a future, because that is what a check is.
    fn ask(&self, token: &str) -> impl Future<Output = ()>;
}

impl Asked for Store {
    async fn ask(&self, token: &str) {
        black_box(self.authenticate(token, &Visitor::new()).await.expect("a good token"));
    }
}

/// Answers by token, in shards.
struct Map(Vec<RwLock<HashMap<String, Arc<Authenticated>>>>, RandomState);

impl Map {
    fn of(answers: &[Arc<Authenticated>], tokens: &[String]) -> Self {
        let map = Self((0..256).map(|_| RwLock::default()).collect(), RandomState::new());
        for (token, answer) in tokens.iter().zip(answers) {
            // Of its own, in the order of the tokens, as the cache has.
            map.shard(token).write().expect("a shard").insert(token.clone(), Arc::new((**answer).clone()));
        }
        map
    }

    fn shard(&self, token: &str) -> &RwLock<HashMap<String, Arc<Authenticated>>> {
        let end = token.as_bytes().last_chunk::<16>().expect("a token");
        &self.0[usize::try_from(self.1.hash_one(end) % 256).unwrap_or(0)]
    }
}

impl Asked for Map {
    async fn ask(&self, token: &str) {
        black_box(self.shard(token).read().expect("a shard").get(token).cloned().expect("a known token"));
    }
}

async fn checked(store: &Store, tokens: &[String]) -> Vec<Arc<Authenticated>> {
    let mut answers = Vec::with_capacity(tokens.len());
    for token in tokens {
        answers.push(store.authenticate(token, &Visitor::new()).await.expect("a good token"));
    }
    answers
}

/// Asks of so many tokens, one after the other, that requests have just brought. Before each lot, `ready` is called.
fn check_arrived(asked: &impl Asked, tokens: &[String], times: u64, seed: u64, ready: impl Fn()) -> Time {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    let mut random = Random(seed);
    let mut time = Time::default();
    let mut arrived = vec![String::new(); ARRIVED];
    for _ in 0..times / ARRIVED as u64 {
        for token in &mut arrived {
            token.clone_from(&tokens[random.below(tokens.len())]);
        }
        ready();
        let lot = runtime.block_on(async {
            let start = Time::now();
            for token in &arrived {
                asked.ask(token).await;
            }
            start.since()
        });
        time.wall += lot.wall;
        time.busy += lot.busy;
    }
    time
}

/// Asks of so many tokens that are in memory, and not in the processor's caches.
fn check_cold(asked: &impl Asked, tokens: &[String], times: u64) -> Time {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    let mut random = Random(7);
    runtime.block_on(async {
        let start = Time::now();
        for _ in 0..times {
            asked.ask(&tokens[random.below(tokens.len())]).await;
        }
        start.since()
    })
}

/// Checks a second of two threads, which begin each lot at the same time: by the clock, and by the processors' time.
fn on_two_threads(asked: &impl Asked, tokens: &[String], times: u64) -> (f64, f64) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        let threads = [1, 2].map(|seed| {
            let barrier = &barrier;
            let ready = move || {
                barrier.wait();
            };
            scope.spawn(move || check_arrived(asked, tokens, times, seed, ready))
        });
        let times_of = threads.map(|thread| thread.join().expect("a thread"));
        let rate = |of: fn(&Time) -> Duration| times_of.iter().map(|time| times as f64 / of(time).as_secs_f64()).sum();
        (rate(|time| time.wall), rate(|time| time.busy))
    })
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
async fn checks(store: &Store, tokens: &[String], random: &mut Random, times: u64) -> Duration {
    let visitor = Visitor::new();
    let start = Instant::now();
    for _ in 0..times {
        black_box(store.authenticate(&tokens[random.below(tokens.len())], &visitor).await.expect("a good token"));
    }
    start.elapsed()
}

/// Checks so many tokens, each as a use of the session, some of which are sent to Redis meanwhile.
async fn uses(store: &Store, tokens: &[String], random: &mut Random, times: u64) {
    let visitor = Visitor::new();
    for _ in 0..times {
        black_box(store.touch(&tokens[random.below(tokens.len())], &visitor).await.expect("a good token"));
    }
}

async fn gets(connection: &mut redis::aio::MultiplexedConnection, times: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        let value: Vec<u8> = redis::cmd("GET").arg("session:42").query_async(connection).await.expect("GET");
        black_box(value);
    }
    start.elapsed()
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

/// xorshift64, and no division, which would take as long as much of a hit.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((u128::from(self.0) * end as u128) >> 64).unwrap_or(0)
    }
}
