#!/usr/bin/env python3
"""Places one call with PJSIP (wheel pjsua2-python): WAV in, WAV out, digits, hold, re-INVITE, UPDATE, transfer.

Prints one JSON object: what happened, with PJSIP's own stream statistics. Everything stays on loopback.
"""
import argparse
import ctypes
import json
import os
import time

import pjsua2 as pj


# What is judged is the audio that comes, not how this phone's jitter buffer squeezes it: a fixed one, that never throws anything away.
BUFFER_MS = 160


def fixed_buffer(media):
    """As it comes out of the box, PJSIP's buffer holds nothing back: it runs dry when a packet meets one of the phone's own ticks, fills in 10 or
    20 ms, and cuts them out of speech a second later."""
    media.jbInit = media.jbMinPre = media.jbMaxPre = BUFFER_MS
    # The wrapper knows this enumeration only as a pointer to a copy. 0: discard nothing, 1: static, 2: progressive (the default).
    algorithm = media.jbDiscardAlgo
    value = ctypes.c_int.from_address(int(algorithm))
    assert value.value == 2, f"the default algorithm is {value.value}"
    value.value = 0
    media.jbDiscardAlgo = algorithm


class Account(pj.Account):
    pass


class Call(pj.Call):
    def __init__(self, account, args, result):
        super().__init__(account)
        self.args, self.result = args, result
        self.player = self.recorder = None
        self.ended = False
        self.media_ready_at = None

    def onCallState(self, prm):
        info = self.getInfo()
        self.result["states"].append(info.stateText)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.result["last_status"] = info.lastStatusCode
            self.result["last_reason"] = info.lastReason
            self.ended = True

    def onCallMediaState(self, prm):
        info = self.getInfo()
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            self.result["media"].append(int(media.status))
            if media.status != pj.PJSUA_CALL_MEDIA_ACTIVE:
                continue
            audio = self.getAudioMedia(index)
            if self.recorder is None and self.args.record:
                self.recorder = pj.AudioMediaRecorder()
                self.recorder.createRecorder(self.args.record)
            if self.player is None and self.args.play:
                self.player = pj.AudioMediaPlayer()
                self.player.createPlayer(self.args.play, pj.PJMEDIA_FILE_NO_LOOP)
            if self.recorder:
                audio.startTransmit(self.recorder)
            if self.player:
                self.player.startTransmit(audio)
            if self.media_ready_at is None:
                self.media_ready_at = time.monotonic()

    def onStreamDestroyed(self, prm):
        pass

    def onDtmfDigit(self, prm):
        self.result["digits"] += prm.digit

    def onCallTransferStatus(self, prm):
        self.result["transfer"].append(prm.statusCode)

    def onCallTransferRequest(self, prm):
        # The far end asks us to call somebody else (REFER): say yes or no as told.
        self.result["refer_to"] = prm.dstUri
        prm.statusCode = 202 if self.args.accept_refer else 603


def real_time():
    """A priority of its own clock for this phone, where that is allowed. Only now: loading the wrapper takes long and would delay others."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(3))
    except PermissionError:
        pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("uri")
    p.add_argument("--play")
    p.add_argument("--record")
    p.add_argument("--seconds", type=float, default=5.0)
    p.add_argument("--dtmf")
    p.add_argument("--dtmf-at", type=float, default=1.0)
    p.add_argument("--hold-at", type=float)
    p.add_argument("--hold-for", type=float, default=1.0)
    p.add_argument("--reinvite-at", type=float)
    p.add_argument("--update-at", type=float)
    p.add_argument("--transport", choices=["udp", "tcp", "tls"], default="udp")
    p.add_argument("--codec", default="PCMU/8000")
    p.add_argument("--rate", type=int, default=8000)
    p.add_argument("--ptime", type=int, default=20)
    p.add_argument("--bound", default="127.0.0.1")
    p.add_argument("--accept-refer", action="store_true")
    p.add_argument("--ca", help="TLS: PEM of the authority that must have signed the server's certificate")
    p.add_argument("--prack", action="store_true", help="insist on reliable provisional responses")
    p.add_argument("--timer", action="store_true", help="insist on a session timer")
    p.add_argument("--srtp", choices=["optional", "mandatory"], help="SRTP with keys in SDP")
    p.add_argument("--suite", action="append", default=[], help="offer only these, in this order")
    p.add_argument("--log-level", type=int, default=0)
    args = p.parse_args()
    real_time()

    result = {"states": [], "media": [], "digits": "", "transfer": [], "refer_to": None}
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = args.log_level
    config.logConfig.consoleLevel = args.log_level
    config.uaConfig.threadCnt = 1
    config.medConfig.clockRate = args.rate
    config.medConfig.sndClockRate = args.rate
    config.medConfig.audioFramePtime = 20
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = True
    config.medConfig.quality = 10
    fixed_buffer(config.medConfig)
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port = 0
    transport.boundAddress = args.bound
    kind = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}[args.transport]
    if args.ca:
        transport.tlsConfig.CaListFile = args.ca
        transport.tlsConfig.verifyServer = True
    endpoint.transportCreate(kind, transport)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    for codec in endpoint.codecEnum2():
        endpoint.codecSetPriority(codec.codecId, 0)
    endpoint.codecSetPriority(args.codec + "/1", 255)
    param = endpoint.codecGetParam(args.codec + "/1")
    param.setting.frmPerPkt = max(1, args.ptime // 20)
    param.setting.vad = False
    param.setting.plc = True
    endpoint.codecSetParam(args.codec + "/1", param)

    account_config = pj.AccountConfig()
    account_config.idUri = f"sip:pjsip@{args.bound}"
    account_config.mediaConfig.transportConfig.boundAddress = args.bound
    if args.prack:
        account_config.callConfig.prackUse = pj.PJSUA_100REL_MANDATORY
    if args.timer:
        account_config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_REQUIRED
    if args.srtp:
        media = account_config.mediaConfig
        media.srtpUse = {"optional": pj.PJMEDIA_SRTP_OPTIONAL, "mandatory": pj.PJMEDIA_SRTP_MANDATORY}[args.srtp]
        media.srtpSecureSignaling = 1 if args.transport == "tls" else 0
        cryptos = pj.SrtpCryptoVector()
        for suite in args.suite:
            crypto = pj.SrtpCrypto()
            crypto.name = suite
            cryptos.append(crypto)
        options = pj.SrtpOpt()
        if args.suite:
            options.cryptos = cryptos
        keyings = pj.IntVector()
        keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        options.keyings = keyings
        media.srtpOpt = options
    account = Account()
    account.create(account_config)
    call = Call(account, args, result)
    uri = args.uri + ("" if args.transport == "udp" else ";transport=" + args.transport)
    call.makeCall(uri, pj.CallOpParam(True))

    steps = []
    if args.dtmf:
        steps.append((args.dtmf_at, lambda: call.dialDtmf(args.dtmf)))
    if args.hold_at is not None:
        steps.append((args.hold_at, lambda: call.setHold(pj.CallOpParam(True))))

        def resume():
            prm = pj.CallOpParam(True)
            prm.opt.flag = pj.PJSUA_CALL_UNHOLD
            call.reinvite(prm)

        steps.append((args.hold_at + args.hold_for, resume))
    if args.reinvite_at is not None:
        steps.append((args.reinvite_at, lambda: call.reinvite(pj.CallOpParam(True))))
    if args.update_at is not None:
        steps.append((args.update_at, lambda: call.update(pj.CallOpParam(True))))
    steps.sort(key=lambda step: step[0])

    began = time.monotonic()
    while not call.ended:
        endpoint.libHandleEvents(10)
        now = time.monotonic()
        if call.media_ready_at is None:
            if now - began > 30:
                result["trouble"] = "no media after 30 s"
                break
            continue
        since = now - call.media_ready_at
        while steps and steps[0][0] <= since:
            steps.pop(0)[1]()
        if since >= args.seconds:
            try:
                stat = call.getStreamStat(0)
                result["rx_packets"] = stat.rtcp.rxStat.pkt
                result["rx_lost"] = stat.rtcp.rxStat.loss
                result["tx_packets"] = stat.rtcp.txStat.pkt
                result["rx_jitter_us"] = stat.rtcp.rxStat.jitterUsec.mean
                result["rtcp"] = {
                    "tx_updates": stat.rtcp.txStat.updateCount,
                    "tx_lost": stat.rtcp.txStat.loss,
                    "round_trips": stat.rtcp.rttUsec.n,
                    "round_trip_us": stat.rtcp.rttUsec.last,
                }
                result["buffer"] = {"lost": stat.jbuf.lost, "empty": stat.jbuf.empty, "discarded": stat.jbuf.discard}
                result["dump"] = call.dump(True, " ")
            except pj.Error as error:
                result["trouble"] = error.info()
            break
    hung_up_here = not call.ended
    result["peer_hung_up"] = call.ended
    if hung_up_here:
        call.hangup(pj.CallOpParam(True))
        end = time.monotonic() + 5
        while not call.ended and time.monotonic() < end:
            endpoint.libHandleEvents(10)
    call.player = call.recorder = None
    print(json.dumps(result))
    del call
    del account
    endpoint.libDestroy()


if __name__ == "__main__":
    main()
