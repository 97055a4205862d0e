import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { t } from '../shared/i18n.ts';
import { attachVideo } from './video.ts';
import { useViewer } from './viewer-model.ts';

/** The stream: starts muted, because browsers refuse sound before the first press. */
export function Stage() {
  const { show } = useViewer();
  const video = useRef<HTMLVideoElement>(null);
  const isMuted = useSignal(true);
  const isPaused = useSignal(false);
  const hasFailed = useSignal(false);
  const attempt = useSignal(1);
  const { videoUrl, posterUrl } = show.value ?? {};
  const load = (): (() => void) => {
    hasFailed.value = false;
    if (video.current === null || videoUrl == null) return () => {};
    return attachVideo(video.current, videoUrl, {
      onPaused: () => {
        isPaused.value = true;
      },
      onFailed: () => {
        hasFailed.value = true;
      },
    });
  };
  useEffect(load, [videoUrl, attempt.value]);
  return (
    <section class='stage' aria-label={t('video')}>
      <video
        ref={video}
        muted={isMuted.value}
        poster={posterUrl ?? undefined}
        playsInline
        loop={isFile(videoUrl)}
        onPlaying={() => {
          isPaused.value = false;
        }}
      />
      {hasFailed.value && (
        <div class='stage-note' role='status'>
          <p>{t('video.failed')}</p>
          <Button
            look='outline'
            onClick={() => {
              attempt.value += 1;
            }}
          >
            {t('retry')}
          </Button>
        </div>
      )}
      {isPaused.value && !hasFailed.value && (
        <Button look='icon' class='stage-play' label={t('play')} onClick={() => void video.current?.play()}>
          <Icon name='play' solid />
        </Button>
      )}
      {!hasFailed.value && (
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
      )}
    </section>
  );
}

/** A file instead of a live stream is a trailer or a recording. */
const isFile = (url: string | null | undefined): boolean => /\.(?:mp4|webm)(?:$|[?#])/i.test(url ?? '');
