//! Which simulcast layers of a publication are arriving, and how much each of them is: what a slot's layer is chosen by.
//!
//! A publication without simulcast has one layer. Where its endpoint is in another shard, that shard tells.
//!
//! ```text
//! Arrived -> came() -> is_arriving(), rate() -> route/allocate     true: the set has changed, choose again
//! letter of the home shard -> told()
//! ```

use crate::clock::Micros;
use crate::id::{LAYERS_MAX, LayerId, layers};

/// A layer without packets for this long is not arriving.
const SILENCE: Micros = Micros::from_millis(1_000);

/// Nor is one that is this far behind the others: all layers are made of the same frames, and browsers stop the highest when
/// their path or processor is full. Short enough that whoever sees it has the next one within a second.
const BEHIND: Micros = Micros::from_millis(400);

/// A rate is measured over this.
const WINDOW: Micros = Micros::from_millis(500);

/// What the home shard said holds for this long; it says so once a window.
const TOLD: Micros = Micros::from_millis(2_000);

/// What goes with a payload: RTP header with extensions, tag, UDP and IP headers.
const OVERHEAD: u64 = 64;

/// What arrives of one layer.
#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    heard: Option<Micros>,
    /// Octets since the window began.
    octets: u64,
    /// Bits a second over past windows, smoothed; nothing before the first has passed.
    rate: Option<u32>,
    /// Width and height of its newest key frame.
    size: Option<(u16, u16)>,
}

/// The layers of one publication.
#[derive(Debug, Default)]
pub struct Layers {
    layers: [Layer; LAYERS_MAX],
    window: Option<Micros>,
    /// The set that was reported last.
    arriving: u8,
    told: Option<Micros>,
}

/// A picture may be drawn larger than it is by this much: nobody sees that, and it costs a fourth of the next layer.
const ENLARGED_PERCENT: u32 = 125;

/// The highest layer where no key frame has told: what cameras give, and half of it for each layer below.
const USUAL: (u16, u16) = (1_280, 720);

/// What has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Layers came, went, or were measured for the first time.
    pub choices: bool,
    /// A window has ended: rates are new.
    pub rates: bool,
}

impl Layers {
    /// Notes a packet with a payload of so many octets.
    pub fn came(&mut self, now: Micros, layer: LayerId, payload: usize) -> Change {
        let window = *self.window.get_or_insert(now);
        if let Some(layer) = self.layers.get_mut(usize::from(layer.0)) {
            layer.heard = Some(now);
            layer.octets += payload as u64 + OVERHEAD;
        }
        let passed = now.since(window);
        let rates = passed >= WINDOW;
        let mut choices = false;
        if rates {
            self.window = Some(now);
            for layer in &mut self.layers {
                choices |= layer.end_window(passed);
            }
        }
        let arriving = self.arriving(now);
        choices |= std::mem::replace(&mut self.arriving, arriving) != arriving;
        Change { choices, rates }
    }

    /// Notes a packet of one stream whose spatial layers are nested: layers above have it, too, and arrive only where something of
    /// their own does.
    pub fn came_nested(&mut self, now: Micros, spatial: LayerId, payload: usize) -> Change {
        for layer in self.layers.iter_mut().skip(usize::from(spatial.0) + 1) {
            layer.octets += payload as u64 + OVERHEAD;
        }
        self.came(now, spatial, payload)
    }

    /// Notes what the shard that has the publication's endpoint says: the rate of each layer that is arriving. `true`: layers came or
    /// went.
    pub fn told(&mut self, now: Micros, rates: [Option<u32>; LAYERS_MAX]) -> bool {
        self.told = Some(now);
        for (layer, rate) in self.layers.iter_mut().zip(rates) {
            (layer.heard, layer.rate) = (rate.map(|_| now), rate);
        }
        let arriving = self.arriving(now);
        std::mem::replace(&mut self.arriving, arriving) != arriving
    }

    /// What to tell other shards.
    #[must_use]
    pub fn rates(&self, now: Micros) -> [Option<u32>; LAYERS_MAX] {
        let mut rates = [None; LAYERS_MAX];
        for (at, rate) in rates.iter_mut().enumerate() {
            *rate = self.rate(now, LayerId(at as u8));
        }
        rates
    }

    /// Bits a second of a layer that is arriving; 0 while it was not measured yet.
    #[must_use]
    pub fn rate(&self, now: Micros, layer: LayerId) -> Option<u32> {
        let layer = self.layers.get(usize::from(layer.0)).filter(|_| self.is_arriving(now, layer))?;
        Some(layer.rate.unwrap_or_default())
    }

    /// Whether a layer is arriving.
    #[must_use]
    pub fn is_arriving(&self, now: Micros, layer: LayerId) -> bool {
        self.arriving(now) >> layer.0 & 1 == 1
    }

    /// Notes width and height of a key frame of a layer. `true`: another size than before.
    pub fn measured(&mut self, layer: LayerId, size: (u16, u16)) -> bool {
        let Some(layer) = self.layers.get_mut(usize::from(layer.0)) else { return false };
        layer.size.replace(size) != Some(size)
    }

    /// The lowest layer that fills a tile of so many pixels; `highest` at most, which is also what a larger tile gets.
    #[must_use]
    pub fn layer_for(&self, tile: (u16, u16), highest: LayerId) -> LayerId {
        let fills = |layer: &LayerId| {
            let halved = highest.0.saturating_sub(layer.0);
            let told = self.layers.get(usize::from(layer.0)).and_then(|layer| layer.size);
            let (width, height) = told.unwrap_or((USUAL.0 >> halved, USUAL.1 >> halved));
            let is_enough = |pixels: u16, of: u16| u32::from(pixels) * ENLARGED_PERCENT >= u32::from(of) * 100;
            // Upright pictures in wide tiles are cut or letterboxed: one side that fits will do.
            is_enough(width, tile.0) || is_enough(height, tile.1)
        };
        layers(highest.0 + 1).find(fills).unwrap_or(highest)
    }

    /// The highest that is arriving.
    #[must_use]
    pub fn highest(&self, now: Micros) -> Option<LayerId> {
        self.arriving(now).checked_ilog2().map(|at| LayerId(at as u8))
    }

    /// Nothing of this layer has come yet.
    #[must_use]
    pub fn is_new(&self, layer: LayerId) -> bool {
        self.layers.get(usize::from(layer.0)).is_some_and(|layer| layer.heard.is_none())
    }

    /// A set of bits, the lowest layer first.
    fn arriving(&self, now: Micros) -> u8 {
        let silence = if self.told.is_some() { TOLD } else { SILENCE };
        let newest = self.layers.iter().filter_map(|layer| layer.heard).max().unwrap_or_default();
        let is_arriving =
            |layer: &Layer| layer.heard.is_some_and(|heard| now.since(heard) < silence && newest.since(heard) < BEHIND);
        let bits = self.layers.iter().enumerate().filter(|(_, layer)| is_arriving(layer));
        bits.fold(0, |set, (at, _)| set | 1 << at)
    }
}

impl Layer {
    /// `true`: this is its first measure.
    fn end_window(&mut self, passed: Micros) -> bool {
        let octets = std::mem::take(&mut self.octets);
        if octets == 0 {
            // It begins anew, and is not what it was.
            self.rate = None;
            return false;
        }
        let measured = octets.saturating_mul(8_000_000) / passed.0.max(1);
        let measured = u32::try_from(measured).unwrap_or(u32::MAX);
        let before = self.rate.replace(self.rate.map_or(measured, |rate| rate / 2 + measured / 2));
        before.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: LayerId = LayerId(0);
    const HIGH: LayerId = LayerId(2);

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// Packets of the layers every 10 ms, of 186 octets with all that goes with them; whether the choices changed.
    fn run(layers: &mut Layers, from: u64, to: u64, which: &[LayerId]) -> bool {
        let mut changed = false;
        for at in (from..to).step_by(10) {
            for &layer in which {
                changed |= layers.came(ms(at), layer, 186 - OVERHEAD as usize).choices;
            }
        }
        changed
    }

    #[test]
    fn what_comes_is_measured() {
        let mut layers = Layers::default();
        run(&mut layers, 0, 3_000, &[LOW, HIGH]);
        let rate = layers.rate(ms(3_000), HIGH).unwrap_or_default();
        assert!((145_000..155_000).contains(&rate), "{rate}");
        assert_eq!(layers.rate(ms(3_000), LayerId(1)), None, "never came");
        assert_eq!(layers.highest(ms(3_000)), Some(HIGH));
    }

    #[test]
    fn a_layer_that_the_others_outlive_has_stopped_and_is_told_of_once() {
        let mut layers = Layers::default();
        assert!(run(&mut layers, 0, 1_000, &[LOW, HIGH]));
        assert!(!run(&mut layers, 1_000, 1_380, &[LOW]), "a frame of it may be late");
        assert!(layers.is_arriving(ms(1_380), HIGH));
        assert!(run(&mut layers, 1_380, 1_420, &[LOW]));
        assert!(!layers.is_arriving(ms(1_420), HIGH));
        assert!(!run(&mut layers, 1_420, 1_490, &[LOW]));
        assert_eq!(layers.highest(ms(1_420)), Some(LOW));
    }

    #[test]
    fn a_camera_without_layers_may_pause_for_a_second() {
        let mut layers = Layers::default();
        run(&mut layers, 0, 1_000, &[LOW]);
        assert!(layers.is_arriving(ms(1_980), LOW));
        assert!(!layers.is_arriving(ms(2_000), LOW));
    }

    #[test]
    fn a_tile_gets_the_lowest_layer_that_fills_it() {
        let mut layers = Layers::default();
        for (tile, layer) in [((320, 180), 0), ((400, 225), 0), ((401, 226), 1), ((800, 450), 1), ((1_920, 1_080), 2)] {
            assert_eq!(layers.layer_for(tile, HIGH), LayerId(layer), "{tile:?}");
        }
        assert_eq!(layers.layer_for((1_920, 1_080), LOW), LOW, "there is no other");
        assert!(layers.measured(LOW, (480, 270)));
        assert!(!layers.measured(LOW, (480, 270)));
        assert_eq!(layers.layer_for((600, 337), HIGH), LOW, "as its key frames say");
    }

    #[test]
    fn another_shard_is_believed_for_a_while() {
        let mut layers = Layers::default();
        assert!(layers.told(ms(0), [Some(100), None, Some(300)]));
        assert!(!layers.told(ms(500), [Some(120), None, Some(300)]), "the same layers");
        assert_eq!(layers.rates(ms(2_400)), [Some(120), None, Some(300)]);
        assert_eq!(layers.rates(ms(2_500)), [None; 3]);
    }
}
