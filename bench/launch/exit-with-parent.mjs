// Loaded into the engine before its own code: when whoever started it is gone, however it went, the
// engine drains and ends as on SIGTERM.
if (process.channel) {
  process.channel.unref();
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
}
