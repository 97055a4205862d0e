// Preloaded into the engine: it drains as on SIGTERM when the process that started it dies.
if (process.channel) {
  process.channel.unref();
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}
