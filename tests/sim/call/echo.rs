//! Line echo in a whole call: the agent's own voice comes back, and the service's VAD listens (R14).

use crate::peer::Echo;
use crate::service::Reply;
use crate::world::{STEP, World, ms, secs};
use std::time::Duration;
use voxtrunk::audio::front::EchoMode;
use voxtrunk::audio::resample;
use voxtrunk::call::CallEvent;
use voxtrunk::realtime_sim::speech;
use voxtrunk::realtime_sim::vad::{Border, TurnDetection, Vad};

/// A call in which the service hears by the VAD of the embedded server, with its default threshold.
struct Listening {
    world: World,
    vad: Vad,
    borders: Vec<Border>,
    /// When it took something for the caller.
    starts: Vec<Duration>,
}

/// `loss_db`: echo return loss. The line gives back after `delay_ms`, with 10 ms of ringing.
fn call(guard: EchoMode, loss_db: f64, delay_ms: usize) -> Listening {
    let mut world = World::setup().plan(|plan| plan.front.echo_guard = guard).ring();
    let clips: Vec<i16> = speech::agent_lines()
        .iter()
        .filter(|line| line.samples.len() > 20_000)
        .flat_map(|line| line.samples.iter().copied().chain([0; 2_400]))
        .collect();
    world.service.words = resample::convert(&clips, 8_000, 24_000).expect("whole ratios");
    world.service.keep_audio = true;
    let response: Vec<f64> = (0..80).map(|n| f64::from(n * 7 % 11 - 5) * (-f64::from(n) / 20.0).exp()).collect();
    let size = response.iter().map(|h| h * h).sum::<f64>().sqrt();
    let gain = 10f64.powf(-loss_db / 20.0) / size;
    world.peer.echo = Some(Echo { delay: delay_ms * 8, response: response.iter().map(|h| h * gain).collect() });
    world.answered_within(ms(800));
    Listening { world, vad: Vad::new(TurnDetection::default(), 24_000, 0), borders: Vec::new(), starts: Vec::new() }
}

impl Listening {
    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.world.run(STEP);
            let audio = std::mem::take(&mut self.world.service.audio);
            self.vad.push(&audio, &mut self.borders);
            for border in self.borders.drain(..) {
                match border {
                    Border::Started { .. } => {
                        self.starts.push(self.world.now);
                        self.world.service.speech_started(self.world.now, true);
                    }
                    Border::Stopped { .. } => self.world.service.speech_stopped(self.world.now, "Words."),
                }
            }
        }
    }

    fn interruptions(&self) -> usize {
        self.world.notes.iter().filter(|(_, event)| matches!(event, CallEvent::BargeIn { .. })).count()
    }
}

/// R14: half a minute of agent speech over a line that gives it back at 12 dB: without the guard the agent is interrupted by itself, with it
/// never; and then a caller at a normal level cuts in and is heard.
#[test]
fn the_agent_does_not_interrupt_itself_and_the_caller_does() {
    for (delay_ms, guard) in [(60, EchoMode::Off), (60, EchoMode::Auto), (240, EchoMode::Auto)] {
        let mut listening = call(guard, 12.0, delay_ms);
        listening.world.service.reply(listening.world.now + secs(1), Reply::Speech(40_000, "A long explanation."));
        listening.run(secs(32));
        if guard == EchoMode::Off {
            assert!(listening.interruptions() > 0, "an echo that nobody would notice proves nothing");
            continue;
        }
        assert_eq!(listening.starts, [], "{delay_ms} ms: the echo was taken for the caller\n{}", listening.world);
        let clip = speech::caller_lines().iter().find(|line| line.name == "interruption").expect("the clip");
        let spoke = listening.world.now;
        listening.world.peer.says.extend(clip.samples.iter());
        listening.run(secs(2));
        let start = *listening.starts.first().expect("the caller was heard");
        assert!(start - spoke < ms(400), "heard after {:?}", start - spoke);
        assert_eq!(listening.interruptions(), 1);
        listening.world.caller_hangs_up();
        let echo = listening.world.ends_within(ms(0)).cdr.echo.expect("the line's echo is in the record");
        assert!((8..=16).contains(&echo.loss_db), "{echo:?}");
        assert!(echo.delay_ms.abs_diff(delay_ms as u32) <= 60, "{echo:?}");
    }
}

/// A line without echo is left alone: the caller cuts in as fast as without the guard.
#[test]
fn a_line_without_echo_costs_no_time() {
    let mut heard = Vec::new();
    for guard in [EchoMode::Off, EchoMode::Auto] {
        let mut listening = call(guard, 80.0, 40);
        listening.world.service.reply(listening.world.now + secs(1), Reply::Speech(20_000, "A long explanation."));
        listening.run(secs(10));
        assert_eq!(listening.starts, []);
        let clip = speech::caller_lines().iter().find(|line| line.name == "opening_hours").expect("the clip");
        let spoke = listening.world.now;
        listening.world.peer.says.extend(clip.samples.iter().map(|s| s / 4));
        listening.run(secs(2));
        heard.push(*listening.starts.first().expect("the caller was heard") - spoke);
    }
    assert!(heard[1] <= heard[0] + ms(40), "{heard:?}");
}
