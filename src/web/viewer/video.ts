/** Plays a stream. hls.js is loaded only for HLS, and only by browsers that need it. */

interface Listener {
  /** The browser did not let it start by itself. */
  readonly onPaused: () => void;
  readonly onFailed: () => void;
  /** Nothing has been played for `SILENT_MS`, and the video has not failed. */
  readonly onSilent: () => void;
  /** It plays, for the first time or again. */
  readonly onMoving: () => void;
}

/** A server that sends nothing for so long may never do. */
const SILENT_MS = 8_000;
const WATCH_MS = 500;

/** After so many parts in a row that do not load, while nothing plays, the stream has failed. */
const FAILED_PARTS_MAX = 3;

const isHls = (url: string): boolean => /\.m3u8(?:$|[?#])/i.test(url);

/** Starts a video. Returns a function that stops it. */
export function attachVideo(video: HTMLVideoElement, url: string, listener: Listener): () => void {
  const { onPaused, onFailed } = listener;
  let isBlocked = false;
  const stopWatching = watchProgress(video, () => isBlocked, listener);
  let isStopped = false;
  let stopStream = (): void => {};
  const fail = (): void => {
    if (!isStopped) onFailed();
  };
  const play = (): void => {
    video.play().catch((error: unknown) => {
      if (isStopped || !(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
      isBlocked = true;
      onPaused();
    });
  };
  video.addEventListener('error', fail);
  if (isHls(url) && 'MediaSource' in window)
    loadHls(video, url, fail).then((stop) => {
      if (isStopped) stop();
      else {
        stopStream = stop;
        play();
      }
    }, fail);
  else {
    video.src = url;
    play();
  }
  return () => {
    isStopped = true;
    stopWatching();
    video.removeEventListener('error', fail);
    stopStream();
    video.removeAttribute('src');
    video.load();
  };
}

/** Reports when nothing plays that should. A server that is silent causes no event. */
function watchProgress(
  video: HTMLVideoElement,
  isBlocked: () => boolean,
  { onSilent, onMoving }: Listener,
): () => void {
  let isReported = false;
  let knownAt = video.currentTime;
  let movedAt = performance.now();
  const timer = setInterval(() => {
    const hasData = video.readyState >= video.HAVE_CURRENT_DATA;
    const isMoving = video.currentTime !== knownAt && hasData && !video.seeking;
    // A browser may pause the video of a hidden page.
    const isIdle = document.hidden || video.ended || (video.paused && (hasData || isBlocked()));
    knownAt = video.currentTime;
    if (isMoving || isIdle) movedAt = performance.now();
    if (isMoving) {
      isReported = false;
      onMoving();
    }
    if (isReported || performance.now() - movedAt < SILENT_MS) return;
    isReported = true;
    onSilent();
  }, WATCH_MS);
  return () => clearInterval(timer);
}

async function loadHls(video: HTMLVideoElement, url: string, onFailed: () => void): Promise<() => void> {
  const { default: Hls } = await import('hls.js');
  // A worker would need a script from a blob, which the content security policy forbids.
  const hls = new Hls({ enableWorker: false });
  let hasRecovered = false;
  let failedParts = 0;
  hls.on(Hls.Events.FRAG_LOADED, () => {
    failedParts = 0;
  });
  hls.on(Hls.Events.ERROR, (_, { fatal, type, frag }) => {
    // The library itself tries for more than half a minute.
    if (frag !== undefined && type === Hls.ErrorTypes.NETWORK_ERROR) failedParts += 1;
    if (failedParts >= FAILED_PARTS_MAX && video.readyState < video.HAVE_FUTURE_DATA) return onFailed();
    if (!fatal) return;
    if (type !== Hls.ErrorTypes.MEDIA_ERROR || hasRecovered) return onFailed();
    hasRecovered = true;
    hls.recoverMediaError();
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  return () => hls.destroy();
}
