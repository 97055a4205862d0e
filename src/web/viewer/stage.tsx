import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Banner } from '../shared/components/banner.tsx';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { t, waitText } from '../shared/i18n.ts';
import { attachVideo } from './video.ts';
import { useViewer } from './viewer-model.ts';

/** `tall`: higher than wide, so a phone shows it behind everything else. */
export type VideoShape = 'wide' | 'tall' | 'failed';

/** `silent`: nothing arrives. The video is loaded again at `retryAt`, on the server's clock. */
type Flow = { readonly at: 'loading' | 'moving' } | { readonly at: 'silent'; readonly retryAt: number };

/** After so long a video that does not arrive is loaded again. */
const RETRY_MS = 15_000;

/** The stream: starts muted, because browsers refuse sound before the first press. */
export function Stage({ shape }: { shape: Signal<VideoShape> }) {
  const { show, store } = useViewer();
  const video = useRef<HTMLVideoElement>(null);
  const isMuted = useSignal(true);
  const isPaused = useSignal(false);
  const { videoUrl, posterUrl } = show.value ?? {};
  const hasFailed = shape.value === 'failed';
  const flow = useSignal<Flow>({ at: 'loading' });
  const attempt = useSignal(0);
  const tryAgain = (): void => {
    attempt.value += 1;
  };
  useEffect(() => {
    shape.value = 'wide';
  }, [videoUrl]);
  useEffect(() => {
    if (video.current === null || videoUrl == null) return;
    flow.value = { at: 'loading' };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = attachVideo(video.current, videoUrl, {
      onPaused: () => {
        isPaused.value = true;
      },
      onFailed: () => {
        shape.value = 'failed';
      },
      onSilent: () => {
        flow.value = { at: 'silent', retryAt: store.client.serverNow() + RETRY_MS };
        timer = setTimeout(tryAgain, RETRY_MS);
      },
      onMoving: () => {
        clearTimeout(timer);
        if (flow.peek().at !== 'moving') flow.value = { at: 'moving' };
      },
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [videoUrl, hasFailed, attempt.value]);
  const retry = (
    <Button
      look='text'
      onClick={() => {
        shape.value = 'wide';
      }}
    >
      {t('retry')}
    </Button>
  );
  return (
    <>
      <div role='status'>
        {hasFailed && (
          <Banner icon='videoOff' actions={retry}>
            <span>{t('video.failed')}</span>
          </Banner>
        )}
      </div>
      {!hasFailed && (
        <section class='stage' aria-label={t('video')}>
          <video
            ref={video}
            muted={isMuted.value}
            poster={posterUrl ?? undefined}
            playsInline
            loop={isFile(videoUrl)}
            onLoadedMetadata={({ currentTarget: { videoHeight, videoWidth } }) => {
              shape.value = videoHeight > videoWidth ? 'tall' : 'wide';
            }}
            onPlaying={() => {
              isPaused.value = false;
            }}
          />
          {!isPaused.value && <StageNote flow={flow.value} onRetry={tryAgain} />}
          {isPaused.value && (
            <Button look='icon' class='stage-play' label={t('play')} onClick={() => void video.current?.play()}>
              <Icon name='play' solid />
            </Button>
          )}
          <Button
            look='icon'
            class='stage-sound'
            label={t(isMuted.value ? 'sound.on' : 'sound.off')}
            onClick={() => {
              isMuted.value = !isMuted.value;
            }}
          >
            <Icon name={isMuted.value ? 'soundOff' : 'soundOn'} />
          </Button>
        </section>
      )}
    </>
  );
}

/** Over the poster, or over the last picture: what is missing, and what happens next. */
function StageNote({ flow, onRetry }: { flow: Flow; onRetry: () => void }) {
  const { store } = useViewer();
  const isSilent = flow.at === 'silent';
  return (
    <div class={flow.at === 'moving' ? 'sr' : `stage-note ${flow.at}`}>
      <p role='status'>{flow.at !== 'moving' && t(isSilent ? 'video.silent' : 'video.loading')}</p>
      {isSilent && (
        <p class='stage-retry figures'>
          {t('video.nextTry', { time: waitText(Math.max(0, flow.retryAt - store.now.value)) })}
          <Button look='text' onClick={onRetry}>
            {t('tryNow')}
          </Button>
        </p>
      )}
    </div>
  );
}

/** A file instead of a live stream is a trailer or a recording. */
const isFile = (url: string | null | undefined): boolean => /\.(?:mp4|webm)(?:$|[?#])/i.test(url ?? '');
