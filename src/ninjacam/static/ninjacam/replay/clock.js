// One clock for several players: each follows the same wall clock, corrected by its rate, and waits in its gaps.
// It has the interface of a single player (playback-controls.js).

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */
/** @typedef {import("./playback.js").Replay} Replay */

const TICK_MS = 50;
const POSITION_EVERY_MS = 100;
const DRIFT_FINE_S = 0.012; // less than a frame
const MAX_DRIFT_S = 1; // beyond it, seek
const SEEK_AGAIN_MS = 1500;
const MAX_CORRECTION = 0.3; // share of the rate
const WAIT_FROM_MS = 300; // others do not wait for a player that loads for a shorter time
const MAX_WAIT_MS = 5000; // a player that loads for longer is considered to have no recording
const LIVE_MS = 4000; // this close to the present, players go live

export class ReplayGroup extends EventTarget {
  #players;
  #nowMs;
  #atMs = 0;
  #since = 0; // performance.now() at #atMs
  #runs = false;
  #playing = true;
  #replaying = false;
  #rate = 1;
  /** @type {Map<Player, number>} time since when it has had no frame */
  #lateSince = new Map();
  #dispatchedAt = 0;
  /** @type {Map<Player, number>} time of its last seek */
  #sought = new Map();
  #timer = 0;
  /** @type {Player | null} the player whose step is not displayed yet */
  #stepping = null;

  /**
   * @param {Player[]} players
   * @param {() => number} nowMs the server's wall clock
   */
  constructor(players, nowMs) {
    super();
    this.#players = players;
    this.#nowMs = nowMs;
    for (const player of players) {
      player.held = true;
      player.addEventListener("caughtup", () => this.#caughtUp());
      player.addEventListener("positionchange", () => this.#replaying || this.dispatchEvent(new Event("positionchange")));
    }
  }

  get mode() {
    return this.#replaying ? "replay" : "live";
  }

  get position() {
    if (this.#replaying) return new Date(this.#clockMs());
    const shown = this.#players.map((player) => Number(player.position)).filter(Boolean);
    return shown.length ? new Date(Math.max(...shown)) : null;
  }

  get paused() {
    return this.#replaying && !this.#playing;
  }

  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.#set(this.#clockMs());
    this.#rate = rate;
    for (const player of this.#players) player.rate = rate;
  }

  get muted() {
    return this.#players.every((player) => player.muted);
  }

  /** Only the first player's audio is played. */
  set muted(muted) {
    this.#players[0].muted = muted;
  }

  /** @param {Date | number} when */
  seek(when) {
    const wallMs = Number(when);
    if (wallMs >= this.#nowMs()) return this.goLive();
    const before = this.#replaying;
    this.#replaying = true;
    this.#set(wallMs);
    this.#wait();
    for (const player of this.#players) this.#seekOne(player, wallMs);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    if (!before) this.#dispatchMode();
    this.dispatchEvent(new Event("positionchange"));
  }

  goLive() {
    if (!this.#replaying) return;
    clearInterval(this.#timer);
    this.#replaying = this.#runs = false;
    this.#playing = true;
    for (const player of this.#players) player.goLive();
    this.#dispatchMode();
  }

  play() {
    if (!this.#replaying) return;
    this.#playing = true;
    this.#wait();
    for (const player of this.#players) player.play();
    this.#dispatchState();
  }

  pause() {
    if (!this.#replaying) this.seek(Number(this.position ?? this.#nowMs()) - 1);
    this.#set(this.#clockMs());
    this.#playing = this.#runs = false;
    for (const player of this.#players) {
      player.pause();
      if (isPlaying(player)) player.seek(this.#atMs); // all at the same time
    }
    this.#dispatchState();
  }

  /** Step by the frames of the first player that has a recording. @param {number} count */
  step(count) {
    if (this.#playing) this.pause();
    const lead = this.#players.find(isPlaying) ?? this.#players.find((player) => count < 0 && player.replay);
    if (!lead?.replay) return;
    lead.step(count);
    this.#stepping = lead;
    this.#align(lead, lead.replay);
  }

  /**
   * Seek all players to the position of one.
   * @param {Player} lead
   * @param {Replay} replay
   */
  #align(lead, replay) {
    this.#set(replay.nowMs);
    for (const player of this.#players) if (player !== lead && player.state !== "error") player.seek(this.#atMs);
    this.dispatchEvent(new Event("positionchange"));
  }

  /** Align all players after a step, which may have crossed a gap. */
  #alignStep() {
    const replay = this.#stepping?.replay;
    if (!this.#stepping || (replay && !replay.ready)) return;
    if (replay && !this.#playing && Math.abs(replay.nowMs - this.#atMs) > 1) this.#align(this.#stepping, replay);
    this.#stepping = null;
  }

  // --- the clock ---

  #clockMs() {
    return this.#atMs + (this.#runs ? (performance.now() - this.#since) * this.#rate : 0);
  }

  /** @param {number} wallMs */
  #set(wallMs) {
    this.#atMs = wallMs;
    this.#since = performance.now();
  }

  /** Stop the clock until all players have a frame. */
  #wait() {
    this.#set(this.#clockMs());
    this.#runs = false;
    this.#lateSince.clear();
  }

  #tick() {
    const now = performance.now();
    this.#alignStep();
    if (this.#playing) this.#keepGoing(now);
    const clockMs = this.#clockMs();
    for (const player of this.#players) if (player.replay) this.#lead(player, player.replay, clockMs);
    if (this.#runs && this.#nowMs() - clockMs < LIVE_MS) return this.goLive();
    if (this.#runs && now - this.#dispatchedAt > POSITION_EVERY_MS) {
      this.#dispatchedAt = now;
      this.dispatchEvent(new Event("positionchange"));
    }
  }

  /** @param {number} now */
  #keepGoing(now) {
    const lateMs = this.#players.map((player) => {
      if (player.state !== "seeking") this.#lateSince.delete(player);
      else if (!this.#lateSince.has(player)) this.#lateSince.set(player, now);
      return now - (this.#lateSince.get(player) ?? now);
    });
    const isLate = this.#players.some((player, index) => player.state === "seeking" && lateMs[index] < MAX_WAIT_MS);
    if (!this.#runs && !isLate) {
      this.#set(this.#atMs);
      this.#runs = true;
      for (const player of this.#players) player.replay?.play();
      this.#dispatchState();
    } else if (this.#runs && lateMs.some((each) => each > WAIT_FROM_MS && each < MAX_WAIT_MS)) {
      this.#set(this.#clockMs());
      this.#runs = false;
      for (const player of this.#players) if (player.state === "playing") player.replay?.pause();
    } else if (this.#runs) {
      const untilMs = this.#gapOfAll();
      if (untilMs !== null) this.seek(untilMs);
    }
  }

  /** If all players are in a gap, return when the first one ends; else null. */
  #gapOfAll() {
    if (this.#players.some(isPlaying) || this.#players.some((player) => player.state === "seeking")) return null;
    const ends = this.#players.map((player) => player.replay?.gapUntilMs ?? Infinity);
    const first = Math.min(...ends);
    return first < Infinity ? first : null;
  }

  /**
   * @param {Player} player
   * @param {Replay} replay
   * @param {number} clockMs
   */
  #lead(player, replay, clockMs) {
    if (replay.state === "gap" && replay.gapUntilMs !== null) {
      if (clockMs >= replay.gapUntilMs) this.#seekOne(player, clockMs);
      return;
    }
    if (!this.#runs || replay.state !== "playing" || !replay.ready) return;
    const driftS = (replay.nowMs - clockMs) / 1000 / this.#rate;
    const again = performance.now() - (this.#sought.get(player) ?? 0) > SEEK_AGAIN_MS;
    if (Math.abs(driftS) > MAX_DRIFT_S) {
      if (again) this.#seekOne(player, clockMs);
      return;
    }
    const correction = Math.abs(driftS) < DRIFT_FINE_S ? 0 : Math.max(-MAX_CORRECTION, Math.min(MAX_CORRECTION, driftS));
    replay.setRate(this.#rate * (1 - correction));
  }

  /**
   * @param {Player} player
   * @param {number} wallMs
   */
  #seekOne(player, wallMs) {
    this.#sought.set(player, performance.now());
    if (player.state === "error") return;
    if (!this.#playing) player.pause();
    player.rate = this.#rate;
    player.seek(wallMs);
    if (this.#playing) player.play();
    if (!this.#runs) player.replay?.pause(); // until all players have a frame
  }

  #caughtUp() {
    const isNonePlaying = !this.#players.some(isPlaying);
    const lagMs = this.#nowMs() - this.#clockMs();
    if (this.#replaying && this.#playing && lagMs < (isNonePlaying ? 2 * LIVE_MS : LIVE_MS)) this.goLive();
  }

  #dispatchMode() {
    this.dispatchEvent(new CustomEvent("modechange", { detail: { mode: this.mode } }));
  }

  #dispatchState() {
    this.dispatchEvent(new Event("ninjacam-state"));
  }
}

/** @param {Player} player */
function isPlaying(player) {
  return player.state === "playing" || player.state === "paused";
}
