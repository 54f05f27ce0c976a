//! Tailwater: traffic analytics behind a DDoS scrubber.
//!
//! The rooms of the house, in the order in which a packet meets them. A room uses what stands before it, never after.
//!
//! | room | holds |
//! |---|---|
//! | [`units`] | the words that every room uses: families, decisions, indices, epochs |
//! | [`limits`] | every bound, unit last |
//! | [`origins`] | which country and AS an address belongs to, off databases |
//! | [`arch`] | the keyed hash |
//! | [`options`] | options of IP and TCP headers, a bit a kind |
//! | [`record`] | a packet's quintessence: what parse and classify make, and stats read |
//! | [`axes`] | keys and metrics, one row each; decisions and directions |
//! | [`config`] | written form → validated form; all faults at once |
//! | [`telemetry`] | the appliance's own health: logs, live counters |
//! | `dpdk` | the only code that knows DPDK (feature `dpdk`) |
//! | [`rx`] | source → burst: ports, captures |
//! | [`parse`] | burst → what each frame says; one file a header |
//! | [`flows`] | NetFlow, IPFIX, sFlow → flow messages |
//! | [`classify`] | tag rules, longest prefix match → records of ranges |
//! | [`duplicates`] | packets that a mirror shows twice |
//! | [`gather`] | records → batches of one range |
//! | [`spread`] | batches → workers, over rings |
//! | [`stats`] | batches → sketches; one file a calculation |
//! | [`window`] | closing time: sealed blocks and the ledger, in-band to the reporter |
//! | [`analyse`] | flow records → the stats of ranges |
//! | [`audit`] | the scrubber's own drop counters against the samples that came |
//! | [`report`] | merged shards → estimates → messages |
//! | [`events`] | accounts → what is wrong, as it begins and ends |
//! | [`journal`] | messages wait here for every sink |
//! | [`sink`] | Kafka, file, stdout |
//! | [`consume`] | what a consumer keeps, to know that nothing is missing |
//! | [`enrich`] | flows → what tables know of them → streams |
//! | [`exports`] | sampled frames → IPFIX, NetFlow 9, sFlow, packet logs |
//! | [`admin`] | metrics and health over HTTP |
//! | [`generate`] | synthetic traffic and its truth |
//! | [`runtime`] | places all of it on cores; the one module that knows all others |

#[cfg(all(feature = "loom", feature = "dpdk"))]
compile_error!("the feature `loom` replaces rings by stand-ins for the models of scripts/loom: build it without `dpdk`");

pub mod units;
pub mod limits;
pub mod origins;
pub mod arch;
pub mod options;
pub mod record;
pub mod axes;
pub mod config;
pub mod telemetry;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod rx;
pub mod parse;
pub mod flows;
pub mod classify;
pub mod duplicates;
pub mod gather;
pub mod spread;
pub mod stats;
pub mod window;
pub mod analyse;
pub mod audit;
pub mod report;
pub mod events;
pub mod journal;
pub mod sink;
pub mod consume;
pub mod enrich;
pub mod exports;
pub mod admin;
pub mod generate;
pub mod runtime;
