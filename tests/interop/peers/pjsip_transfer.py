#!/usr/bin/env python3
"""Transfers seen by PJSIP (wheel pjsua2-python): a caller, a target and a third phone in one process, each on a port of its own.

Prints one JSON object: every state, REFER, NOTIFY and Replaces with its time. Each leg records what it hears to `LEG.wav`; the
caller's side speaks 700 Hz, the target's 1100 Hz, once they are to hear each other. Everything stays on loopback.

PJSIP does nothing but in `libHandleEvents`, so a message that is not polled for waits in the socket: races are exact.
"""
import argparse
import json
import os
import time

import pjsua2 as pj

CALLER_HZ, TARGET_HZ = 700, 1100


class Leg(pj.Call):
    def __init__(self, phone, name, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(phone, call_id)
        self.phone, self.world, self.name = phone, phone.world, name
        self.confirmed = self.ended = self.audible = False
        self.recorder = self.tone = self.referred = self.replaced_by = None
        self.world.legs.append(self)

    def note(self, what, **more):
        self.world.note(self.name, what, **more)

    def onCallState(self, prm):
        info = self.getInfo()
        self.note(info.stateText, status=int(info.lastStatusCode))
        self.confirmed = self.confirmed or info.state == pj.PJSIP_INV_STATE_CONFIRMED
        self.ended = info.state == pj.PJSIP_INV_STATE_DISCONNECTED

    def onCallMediaState(self, prm):
        info = self.getInfo()  # SWIG: the list lives as long as this
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO or media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            if self.recorder is None:
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(self.name + ".wav")
            self.getAudioMedia(index).startTransmit(self.recorder)
            self.audible = True

    def speak(self, hertz):
        """Says a tone from now on."""
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2, tone.on_msec, tone.off_msec = hertz, 0, 1000, 0
        tones = pj.ToneDescVector()
        tones.append(tone)
        self.tone = pj.ToneGenerator()
        self.tone.createToneGenerator(8000, 1)
        self.tone.play(tones, True)
        self.tone.startTransmit(self.getAudioMedia(-1))

    def onCallTransferRequest(self, prm):
        # REFER: somebody is to be called instead.
        self.note("refer", to=prm.dstUri)
        prm.statusCode = self.phone.refer_status
        self.referred = True
        if self.phone.refer_status < 300:
            self.referred = prm.newCall = Leg(self.phone, self.name + "-referred")

    def onCallTransferStatus(self, prm):
        self.note("notify", status=int(prm.statusCode), final=bool(prm.finalNotify))

    def onCallReplaceRequest(self, prm):
        self.note("replaces")
        self.replaced_by = prm.newCall = Leg(self.phone, self.name + "-replaced")

    def onCallReplaced(self, prm):
        self.note("replaced")

    def end(self):
        if not self.ended:
            self.hangup(pj.CallOpParam(True))


class Phone(pj.Account):
    def __init__(self, world, name, port):
        super().__init__()
        self.world, self.name, self.incoming = world, name, []
        self.answer_status, self.refer_status = 200, 202
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = port, "127.0.0.1"
        config = pj.AccountConfig()
        config.idUri = f"sip:{name}@127.0.0.1:{port}"
        config.sipConfig.transportId = world.endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        self.create(config)

    def onIncomingCall(self, prm):
        leg = Leg(self, self.name, prm.callId)
        leg.note("incoming")
        self.incoming.append(leg)
        answer = pj.CallOpParam()
        answer.statusCode = pj.PJSIP_SC_RINGING
        leg.answer(answer)
        answer.statusCode = self.answer_status
        leg.answer(answer)

    def dial(self, uri):
        leg = Leg(self, self.name)
        leg.makeCall(uri, pj.CallOpParam(True))
        return leg


class World:
    def __init__(self, args):
        self.began, self.events, self.legs = time.monotonic(), [], []
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.logConfig.level, config.logConfig.consoleLevel = 5, 0
        config.logConfig.filename, config.logConfig.msgLogging = args.log, 1
        config.uaConfig.threadCnt, config.uaConfig.mainThreadOnly = 0, False
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.ecTailLen, config.medConfig.noVad = 0, True
        self.endpoint.libInit(config)
        self.endpoint.audDevManager().setNullDev()
        self.endpoint.libStart()
        for codec in self.endpoint.codecEnum2():
            self.endpoint.codecSetPriority(codec.codecId, 0)
        self.endpoint.codecSetPriority("PCMU/8000/1", 255)
        self.uri = f"sip:100@{args.server}"
        self.caller = Phone(self, "caller", 0)
        self.target = Phone(self, "target", args.target_port)
        self.third = Phone(self, "third", args.third_port)
        self.third_uri = f"sip:third@127.0.0.1:{args.third_port}"

    def note(self, who, what, **more):
        self.events.append({"ms": int((time.monotonic() - self.began) * 1000), "who": who, "what": what, **more})

    def until(self, what, condition, seconds=25):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(what)
            self.endpoint.libHandleEvents(10)

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.until("time", lambda: time.monotonic() >= end, seconds + 5)

    def talk(self, caller_side, target_side):
        """The two hear each other for three seconds; then the caller's side hangs up."""
        caller_side.speak(CALLER_HZ)
        target_side.speak(TARGET_HZ)
        self.run(3)
        caller_side.end()
        self.until("both have ended", lambda: caller_side.ended and target_side.ended)

    def to_target(self):
        """The caller is with the agent, who calls the target."""
        caller = self.caller.dial(self.uri)
        self.until("the agent answers", lambda: caller.confirmed)
        self.until("the target is called", lambda: self.target.incoming)
        return caller, self.target.incoming[0]


def attended(world):
    caller, target = world.to_target()
    world.until("the target hears the agent", lambda: target.audible)
    world.run(3)
    target.dialDtmf("1")
    world.until("REFER", lambda: caller.referred)
    world.until("the caller's new call", lambda: caller.referred.confirmed and caller.referred.audible)
    world.until("the target's new call", lambda: target.replaced_by and target.replaced_by.audible)
    world.until("the old calls end", lambda: caller.ended and target.ended)
    world.talk(caller.referred, target.replaced_by)


def bridged(world):
    world.caller.refer_status = 603
    caller, target = world.to_target()
    world.until("REFER", lambda: caller.referred)
    world.talk(caller, target)


def back_with_the_agent(world, caller):
    world.run(5)
    caller.dialDtmf("5")
    world.run(4)
    caller.end()
    world.until("the call ends", lambda: caller.ended)


def declined(world):
    world.target.answer_status = 486
    caller, target = world.to_target()
    world.until("the target declines", lambda: target.ended)
    back_with_the_agent(world, caller)


def blind(world):
    caller = world.caller.dial(world.uri)
    world.until("REFER", lambda: caller.referred)
    world.until("the target answers", lambda: caller.referred.audible and world.target.incoming)
    world.until("the agent's call ends", lambda: caller.ended)
    world.talk(caller.referred, world.target.incoming[0])


def blind_declined(world):
    world.target.answer_status = 486
    caller = world.caller.dial(world.uri)
    world.until("REFER", lambda: caller.referred)
    world.until("the target declines", lambda: caller.referred.ended)
    back_with_the_agent(world, caller)


def taken_over(world):
    """The caller talks to a third phone, and refers it to the agent with Replaces."""
    caller = world.caller.dial(world.uri)
    world.until("the agent answers", lambda: caller.audible)
    world.run(2)
    aside = world.caller.dial(world.third_uri)
    world.until("the third phone answers", lambda: aside.audible and world.third.incoming)
    third = world.third.incoming[0]
    aside.xferReplaces(caller, pj.CallOpParam(True))
    world.until("the third phone takes the agent over", lambda: third.referred and third.referred.audible)
    world.until("the caller's call ends", lambda: caller.ended)
    aside.end()
    world.run(1)
    third.referred.dialDtmf("7")
    world.run(4)
    third.referred.end()
    world.until("all calls end", lambda: third.referred.ended and aside.ended)


def ringing(world):
    caller = world.caller.dial(world.uri)
    world.until("it rings", lambda: any(e["what"] == "EARLY" for e in world.events))
    return caller


def cancelled(world):
    caller = ringing(world)
    world.run(0.3)
    caller.end()
    world.run(1)


def crossed(world):
    """The 200 is in our socket, unread, when we send CANCEL."""
    caller = ringing(world)
    time.sleep(3)
    caller.end()
    # PJSIP calls it ended at once; the messages come now.
    world.run(2)


def main():
    parts = [attended, bridged, declined, blind, blind_declined, taken_over, cancelled, crossed]
    p = argparse.ArgumentParser()
    p.add_argument("part", choices=[part.__name__ for part in parts])
    p.add_argument("--server", required=True)
    p.add_argument("--target-port", type=int, default=0)
    p.add_argument("--third-port", type=int, default=0)
    p.add_argument("--log", default="pjsip.log")
    args = p.parse_args()
    world, trouble = World(args), None
    try:
        next(part for part in parts if part.__name__ == args.part)(world)
    except (TimeoutError, pj.Error) as error:
        trouble = error.info() if isinstance(error, pj.Error) else f"waited too long: {error}"
    for leg in world.legs:
        leg.recorder = leg.tone = None
    print(json.dumps({"trouble": trouble, "events": world.events}), flush=True)
    world.endpoint.hangupAllCalls()
    world.run(0.5)
    # SWIG destroys in an order of its own, calls after the library: the process ends before it can.
    os._exit(0 if trouble is None else 1)


if __name__ == "__main__":
    main()
