//! Loss concealment at 8 kHz: repeats the last pitch period and fades to silence within 60 ms (G.711 Appendix I idea).

/// The machine.
pub struct Concealer {}

impl Concealer {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Concealer {
        todo!()
    }
    /// Good audio, changed in place only right after a loss (cross-fade).
    pub fn good(&mut self, samples: &mut [i16]) {
        let _ = samples;
        todo!()
    }
    /// Appends `samples` of replacement.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let _ = (samples, out);
        todo!()
    }
}
