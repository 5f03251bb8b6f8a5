#!/usr/bin/env python3
"""Plays and records a call with PJSIP as it comes out of the box: adaptive jitter buffer, concealment.

As a caller of URI; or, without URI, as a callee that waits at --port. It plays one WAV file from the moment its media is there and records
what it hears. Prints one JSON object. Everything stays on loopback.
"""
import argparse
import json
import os
import time

import pjsua2 as pj


class Leg(pj.Call):
    def __init__(self, phone, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(phone, call_id)
        self.phone, self.ready_at, self.ended = phone, None, False

    def onCallState(self, prm):
        self.ended = self.getInfo().state == pj.PJSIP_INV_STATE_DISCONNECTED

    def onCallMediaState(self, prm):
        info = self.getInfo()  # SWIG: the list lives as long as this
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status == pj.PJSUA_CALL_MEDIA_ACTIVE and self.ready_at is None:
                self.ready_at = time.monotonic()
                audio = self.getAudioMedia(index)
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(self.phone.record)
                audio.startTransmit(self.recorder)
                self.player = pj.AudioMediaPlayer()
                self.player.createPlayer(self.phone.play, pj.PJMEDIA_FILE_NO_LOOP)
                self.player.startTransmit(audio)


class Phone(pj.Account):
    def __init__(self, endpoint, name, play, record, port=0):
        super().__init__()
        self.play, self.record, self.incoming = play, record, []
        transport = pj.TransportConfig()
        transport.port, transport.boundAddress = port, "127.0.0.1"
        config = pj.AccountConfig()
        config.idUri = f"sip:{name}@127.0.0.1"
        config.sipConfig.transportId = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
        self.create(config)

    def onIncomingCall(self, prm):
        leg = Leg(self, prm.callId)
        self.incoming.append(leg)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        leg.answer(answer)


def real_time():
    """A priority of its own clock for this phone, where that is allowed. Only now: loading the wrapper takes long and would delay others."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(3))
    except PermissionError:
        pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--uri", help="call this")
    p.add_argument("--port", type=int, default=0, help="SIP port")
    p.add_argument("--play", required=True)
    p.add_argument("--record", required=True)
    p.add_argument("--seconds", type=float, required=True)
    p.add_argument("--dtx", action="store_true", help="send nothing while nobody speaks")
    args = p.parse_args()
    real_time()

    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.uaConfig.threadCnt = 1
    config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
    config.medConfig.audioFramePtime = 20
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = not args.dtx
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    endpoint.codecSetPriority("PCMU/8000/1", 255)
    param = endpoint.codecGetParam("PCMU/8000/1")
    param.setting.vad, param.setting.plc = args.dtx, True
    endpoint.codecSetParam("PCMU/8000/1", param)

    phone = Phone(endpoint, "phone", args.play, args.record, args.port)
    result, began = {"trouble": None}, time.monotonic()
    if args.uri:
        call = Leg(phone)
        call.makeCall(args.uri, pj.CallOpParam(True))
    else:
        print("waits", flush=True)
        while not phone.incoming and time.monotonic() - began < 20:
            endpoint.libHandleEvents(10)
        call = phone.incoming[0]
    while not call.ended:
        endpoint.libHandleEvents(10)
        now = time.monotonic()
        if call.ready_at is None:
            if now - began > 20:
                result["trouble"] = "no media after 20 s"
                break
        elif now - call.ready_at >= args.seconds:
            stat = call.getStreamStat(0)
            result["rx_packets"], result["rx_lost"] = stat.rtcp.rxStat.pkt, stat.rtcp.rxStat.loss
            result["tx_packets"] = stat.rtcp.txStat.pkt
            result["jb_lost"], result["jb_discard"], result["jb_max_delay_ms"] = stat.jbuf.lost, stat.jbuf.discard, stat.jbuf.maxDelayMsec
            break
    if call.ended and args.uri:
        result["trouble"] = "the peer hung up"
    call.player = call.recorder = None
    endpoint.hangupAllCalls()
    # Files are closed by the clock of the media, a little later.
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        endpoint.libHandleEvents(10)
    print(json.dumps(result), flush=True)
    # The wrapper's destructors trip over calls that are over.
    os._exit(0)


if __name__ == "__main__":
    main()
