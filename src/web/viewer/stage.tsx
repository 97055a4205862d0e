import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { Banner } from '../shared/components/banner.tsx';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { t } from '../shared/i18n.ts';
import { attachVideo } from './video.ts';
import { useViewer } from './viewer-model.ts';

/** `tall`: higher than wide, so a phone shows it behind everything else. */
export type VideoShape = 'wide' | 'tall' | 'failed';

/** The stream: starts muted, because browsers refuse sound before the first press. */
export function Stage({ shape }: { shape: Signal<VideoShape> }) {
  const { show } = useViewer();
  const video = useRef<HTMLVideoElement>(null);
  const isMuted = useSignal(true);
  const isPaused = useSignal(false);
  const { videoUrl, posterUrl } = show.value ?? {};
  const hasFailed = shape.value === 'failed';
  useEffect(() => {
    shape.value = 'wide';
  }, [videoUrl]);
  useEffect(() => {
    if (video.current === null || videoUrl == null) return;
    return attachVideo(video.current, videoUrl, {
      onPaused: () => {
        isPaused.value = true;
      },
      onFailed: () => {
        shape.value = 'failed';
      },
    });
  }, [videoUrl, hasFailed]);
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

/** A file instead of a live stream is a trailer or a recording. */
const isFile = (url: string | null | undefined): boolean => /\.(?:mp4|webm)(?:$|[?#])/i.test(url ?? '');
