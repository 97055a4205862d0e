import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Button } from '../shared/components/button.tsx';
import { Sheet } from '../shared/components/sheet.tsx';
import { t } from '../shared/i18n.ts';
import { KeptList } from './kept-list.tsx';
import { joinAs, joinFromShop, openShow, watch, wayIn } from './session.ts';
import { shopOrigin } from './token.ts';

const NAME_CHARS_MAX = 32;
const SHOW_CHARS_MAX = 64;

interface FormProps {
  readonly label: string;
  readonly maxLength: number;
  readonly autoComplete: 'nickname' | 'off';
  readonly missing: string;
  /** Returns what went wrong, or null. */
  readonly onSubmit: (text: string) => Promise<string | null>;
  readonly children?: ComponentChildren;
}

function JoinForm({ label, maxLength, autoComplete, missing, onSubmit, children }: FormProps) {
  const input = useRef<HTMLInputElement>(null);
  const [error, setError] = useState('');
  const [isSending, setSending] = useState(false);
  useEffect(() => input.current?.focus(), []);
  const submit = async (): Promise<void> => {
    const text = input.current?.value.trim() ?? '';
    if (text === '') return setError(missing);
    setSending(true);
    setError((await onSubmit(text)) ?? '');
    setSending(false);
  };
  return (
    <form
      class='join'
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <label>
        <span class='small muted'>{label}</span>
        <input ref={input} class='field square' type='text' maxLength={maxLength} autoComplete={autoComplete} />
      </label>
      <p class='error' role='alert'>
        {error}
      </p>
      <Button look='filled' type='submit' disabled={isSending}>
        {t('join.go')}
      </Button>
      {children}
    </form>
  );
}

/** Asks for a name, or says where to sign in. Without `onClose` nothing can be watched before. */
export function JoinSheet({ onClose }: { onClose?: () => void }) {
  const title = watch.value?.show.title;
  const onlyWatch = onClose !== undefined && (
    <Button look='text' onClick={onClose}>
      {t('join.watch')}
    </Button>
  );
  return (
    <Sheet title={t('join.title')} onClose={onClose}>
      {title !== undefined && (
        <p class='muted join-show' dir='auto'>
          {title}
        </p>
      )}
      {wayIn.value === 'name' ? (
        <JoinForm
          label={t('join.name')}
          maxLength={NAME_CHARS_MAX}
          autoComplete='nickname'
          missing={t('join.enterName')}
          onSubmit={joinAs}
        >
          {onlyWatch}
        </JoinForm>
      ) : (
        <SignIn>{onlyWatch}</SignIn>
      )}
      <KeptList look='tonal' />
    </Sheet>
  );
}

/** Where to sign in. */
export const signInText = (): string | null => {
  if (wayIn.value === 'shop' && shopOrigin !== null) return t('join.atShop', { shop: shopName });
  return wayIn.value === 'parent' ? t('join.atPage') : null;
};

const shopName = shopOrigin?.replace(/^https?:\/\//, '') ?? '';

function SignIn({ children }: { children: ComponentChildren }) {
  const [error, setError] = useState('');
  const [isAsking, setAsking] = useState(false);
  const ask = async (): Promise<void> => {
    if (isAsking) return;
    setAsking(true);
    setError((await joinFromShop()) ?? '');
    setAsking(false);
  };
  return (
    <div class='join'>
      <p>{signInText() ?? t('join.link')}</p>
      <p class='error' role='alert'>
        {error}
      </p>
      {wayIn.value === 'shop' && shopOrigin !== null && (
        <Button href={shopOrigin}>{t('join.openShop', { shop: shopName })}</Button>
      )}
      <Button look='filled' inactive={isAsking} onClick={() => void ask()}>
        {t('join.signedIn')}
      </Button>
      {children}
    </div>
  );
}

/** Asks which show, when the address names none. */
export function ShowSheet() {
  return (
    <Sheet title={t('join.title')}>
      <JoinForm
        label={t('join.show')}
        maxLength={SHOW_CHARS_MAX}
        autoComplete='off'
        missing={t('join.enterShow')}
        onSubmit={async (id) => {
          openShow(id);
          return null;
        }}
      />
    </Sheet>
  );
}
