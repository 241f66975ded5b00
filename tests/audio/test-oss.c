/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The back end "oss" before a device that is made up here: a FIFO, or a file for the device's buffer. The linker puts
 * __wrap_ioctl() and __wrap_open64() in the places of ioctl() and open() ("--wrap"). */
#include "tests/audio/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <unistd.h>

#define RATE 44100
#define POLICY _IOW ('P', 45, int)
#define FRAGMENT 1024
#define FRAGMENTS 8
#define PATIENCE_S 20

int __real_ioctl (int fd, unsigned long request, ...);
int __wrap_ioctl (int fd, unsigned long request, ...);
int __real_open64 (const char *path, int flags, ...);
int __wrap_open64 (const char *path, int flags, ...);

/* --- the device ------------------------------------------------------------------------------------------- */

typedef struct Device
{
  /* what it can do */
  int format, channels, rate; /* the only ones; 0: any */
  bool no_policy;
  int caps;
  int buffer; /* the file that is its buffer */
  /* what was asked of it */
  int flags, opened; /* of open(), and those that are left */
  int policy, fragments, triggers[4], n_triggers;
  bool running;
  /* what it has recorded */
  int64_t begun;
  uint64_t recorded; /* frames */
} Device;

static Device device; /* of the one thread that has it open */

static uint32_t
frame_number (uint64_t n)
{
  return (uint32_t) ((n & 0x7fff) | ((n >> 15) + 1) << 16);
}

/* What has been said since it began is in its buffer. */
static uint64_t
go_on (void)
{
  uint64_t now = (uint64_t) (g_get_monotonic_time () - device.begun) * RATE / G_USEC_PER_SEC;

  for (; device.recorded < now; device.recorded++)
    {
      uint32_t frame = frame_number (device.recorded);
      off_t at = (off_t) (device.recorded * sizeof frame % (FRAGMENTS * FRAGMENT));
      g_assert_cmpint (pwrite (device.buffer, &frame, sizeof frame, at), ==, sizeof frame);
    }
  return device.recorded;
}

static int
ask (int fd, unsigned long request, int *value)
{
  switch (request)
    {
    case POLICY:
      if (device.no_policy)
        return errno = EINVAL, -1;
      device.policy = *value;
      break;
    case SNDCTL_DSP_SETFRAGMENT:
      device.fragments = *value;
      break;
    case SNDCTL_DSP_SETFMT:
      *value = device.format ? device.format : *value;
      break;
    case SNDCTL_DSP_CHANNELS:
      *value = device.channels ? device.channels : *value;
      break;
    case SNDCTL_DSP_SPEED:
      *value = device.rate ? device.rate : *value;
      device.opened = fcntl (fd, F_GETFL);
      __atomic_store_n (&device.running, true, __ATOMIC_RELEASE);
      break;
    case SNDCTL_DSP_GETOSPACE:
    case SNDCTL_DSP_GETISPACE:
      *(audio_buf_info *) value = (audio_buf_info){ .fragstotal = FRAGMENTS, .fragsize = FRAGMENT };
      break;
    case SNDCTL_DSP_GETODELAY:
      *value = 1000;
      break;
    case SNDCTL_DSP_GETCAPS:
      *value = device.caps;
      break;
    case SNDCTL_DSP_SETTRIGGER:
      device.triggers[device.n_triggers++ % 4] = *value;
      device.begun = g_get_monotonic_time ();
      break;
    case SNDCTL_DSP_GETIPTR:
      *(count_info *) value = (count_info){ .bytes = (int) (go_on () * 4) };
      break;
    default:
      g_error ("request %lx", request);
    }
  return 0;
}

int
__wrap_ioctl (int fd, unsigned long request, ...)
{
  va_list args;
  void *value;

  va_start (args, request);
  value = va_arg (args, void *);
  va_end (args);
  return _IOC_TYPE (request) == 'P' ? ask (fd, request, value) : __real_ioctl (fd, request, value);
}

int
__wrap_open64 (const char *path, int flags, ...)
{
  va_list args;
  unsigned mode;

  va_start (args, flags);
  mode = flags & O_CREAT ? va_arg (args, unsigned) : 0;
  va_end (args);
  if (g_str_has_suffix (path, "/dsp"))
    device.flags = flags;
  return __real_open64 (path, flags, mode);
}

/* --- the card --------------------------------------------------------------------------------------------- */

typedef struct Card
{
  Bench bench;
  VmAudioVoice *voice;
  char *path;
  int fd;          /* the other side of the FIFO */
  uint64_t frames; /* played */
  GArray *heard;   /* uint32_t */
} Card;

static void
play (void *opaque, size_t bytes)
{
  Card *card = opaque;

  for (size_t i = 0; i < bytes / 4; i++)
    {
      uint32_t frame = frame_number (card->frames++);
      vm_audio_write (card->voice, &frame, sizeof frame);
    }
}

static void
record (void *opaque, size_t bytes)
{
  Card *card = opaque;
  g_autofree void *in = g_malloc (bytes);

  vm_audio_read (card->voice, in, bytes);
  g_array_append_vals (card->heard, in, bytes / 4);
}

static void
card_open (Card *card, const char *options, bool recording)
{
  const VmAudioFormat format = { .rate = RATE, .channels = 2, .sample = VM_AUDIO_S16 };

  *card = (Card){ .heard = g_array_new (FALSE, FALSE, 4), .fd = -1 };
  bench_init (&card->bench, false);
  card->path = bench_path (&card->bench, "dsp");
  bench_add (&card->bench, options);
  card->voice = recording ? vm_audio_open_in (&card->bench.card, "adc", &format, record, card)
                          : vm_audio_open_out (&card->bench.card, "dac", &format, play, card);
}

/* A device that takes a page at a time. */
static void
card_plug (Card *card)
{
  g_assert_cmpint (mkfifo (card->path, 0600), ==, 0);
  card->fd = __real_open64 (card->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  g_assert_cmpint (fcntl (card->fd, F_SETPIPE_SZ, 4096), ==, 4096);
}

static void
card_wait (Card *card)
{
  for (int i = 0; i < PATIENCE_S * 200 && !__atomic_load_n (&device.running, __ATOMIC_ACQUIRE); i++)
    bench_run (&card->bench, 5 * VM_NS_PER_MS);
  g_assert_true (device.running);
}

static void
card_close (Card *card)
{
  uint8_t rest[4096];

  vm_audio_close (card->voice);
  vm_audio_card_detach (&card->bench.card);
  vm_object_remove_child (vm_object_child (bench_env (&card->bench)->root, "audiodevs"));
  while (card->fd >= 0 && read (card->fd, rest, sizeof rest) > 0) /* who still waits for room goes */
    g_usleep (10000);
  if (card->fd >= 0)
    close (card->fd);
  g_unlink (card->path);
  bench_clear (&card->bench);
  g_array_unref (card->heard);
  g_free (card->path);
}

/* Frames come in order and but once, most of them right behind each other, between silences. */
static void
check_order (const GArray *heard, unsigned least)
{
  uint32_t last = 0;
  unsigned next = 0, all = 0;

  for (guint i = 0; i < heard->len; i++)
    {
      uint32_t frame = g_array_index (heard, uint32_t, i);
      if (!frame)
        continue;
      g_assert_cmpuint (frame >> 16, >, 0);
      frame = ((frame >> 16) - 1) << 15 | (frame & 0x7fff);
      g_assert_true (!all || frame > last);
      next += frame == last + 1;
      last = frame;
      all++;
    }
  g_assert_cmpuint (all, >=, least);
  g_assert_cmpuint (next, >, all / 2);
}

/* --- tests ------------------------------------------------------------------------------------------------ */

/* The card goes on without a device, and is heard once there is one. */
static void
test_play (void)
{
  Card card;
  uint64_t taken = 0;
  int64_t begun;

  device = (Device){ 0 };
  card_open (&card,
             "oss,id=a,out.dev=%/dsp,dsp-policy=-1,out.buffer-count=6,out.buffer-length=120000,out.try-poll=off,"
             "exclusive=on",
             false);
  vm_audio_set_active (card.voice, true);
  bench_run (&card.bench, 300 * VM_NS_PER_MS);
  g_assert_cmpuint (card.frames, >, RATE / 10);
  g_assert_false (device.running);
  card_plug (&card);
  card_wait (&card);
  begun = g_get_monotonic_time ();
  while (taken < RATE)
    {
      uint32_t frames[512];
      bench_run (&card.bench, 2 * VM_NS_PER_MS);
      for (uint64_t due = (uint64_t) (g_get_monotonic_time () - begun) * RATE / G_USEC_PER_SEC; taken < due;)
        {
          ssize_t n = read (card.fd, frames, MIN (due - taken, G_N_ELEMENTS (frames)) * sizeof *frames);
          taken += n > 0 ? n / sizeof *frames : due - taken;
          if (n > 0)
            g_array_append_vals (card.heard, frames, n / sizeof *frames);
        }
    }
  check_order (card.heard, RATE / 2);
  g_assert_cmphex (device.fragments, ==, 6 << 16 | 10); /* of what 60 ms are, six with a power of two bytes */
  g_assert_cmpint (device.policy, ==, 0);
  g_assert_cmphex (device.opened & O_NONBLOCK, ==, 0);
  g_assert_cmphex (device.flags & O_EXCL, ==, O_EXCL);
  card_close (&card);
}

/* What is asked of devices, and what comes of what they answer. */
static void
test_asks (void)
{
  static const struct
  {
    const char *options;
    Device device;
    int policy, fragments;
    VmAudioFormat format;
  } rows[] = {
    { "", { 0 }, 5, 0, { .rate = RATE, .channels = 2, .sample = VM_AUDIO_S16 } },
    { ",dsp-policy=10,out.format=f32", { 0 }, 10, 0, { .rate = RATE, .channels = 2, .sample = VM_AUDIO_S16 } },
    { ",out.format=u16,out.frequency=8000", { 0 }, 5, 0, { .rate = 8000, .channels = 2, .sample = VM_AUDIO_U16 } },
    { ",out.buffer-length=46440",
      { .no_policy = true, .format = AFMT_U8, .channels = 1, .rate = 8000 },
      0,
      4 << 16 | 10,
      { .rate = 8000, .channels = 1, .sample = VM_AUDIO_U8 } },
  };

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *options = g_strconcat ("oss,id=a,out.dev=%/dsp", rows[i].options, NULL);
      const VmAudioStream *stream;
      Card card;
      device = rows[i].device;
      card_open (&card, options, false);
      card_plug (&card);
      vm_audio_set_active (card.voice, true);
      card_wait (&card);
      stream = &card.voice->stream->host;
      for (int n = 0; n < PATIENCE_S * 200 && !vm_audio_format_equal (&stream->format, &rows[i].format); n++)
        bench_run (&card.bench, 5 * VM_NS_PER_MS);
      g_assert_cmpuint (stream->format.rate, ==, rows[i].format.rate);
      g_assert_cmpuint (stream->format.channels, ==, rows[i].format.channels);
      g_assert_cmpuint (stream->format.sample, ==, rows[i].format.sample);
      g_assert_cmpint (device.policy, ==, rows[i].policy);
      g_assert_cmphex (device.fragments, ==, rows[i].fragments);
      g_assert_cmphex (device.flags & O_EXCL, ==, 0);
      g_assert_cmphex (device.opened & O_NONBLOCK, ==, O_NONBLOCK);
      card_close (&card);
    }
}

/* By read(), as the device has no buffer to look into. */
static void
test_record (void)
{
  int64_t begun = 0;
  uint64_t said = 0;
  Card card;

  device = (Device){ 0 };
  card_open (&card, "oss,id=a,in.dev=%/dsp,try-mmap=on", true);
  card_plug (&card);
  vm_audio_set_active (card.voice, true);
  card_wait (&card);
  begun = g_get_monotonic_time ();
  for (int i = 0; i < PATIENCE_S * 500 && card.heard->len < RATE; i++)
    {
      bench_run (&card.bench, 2 * VM_NS_PER_MS);
      for (uint64_t due = (uint64_t) (g_get_monotonic_time () - begun) * RATE / G_USEC_PER_SEC; said < due; said++)
        {
          uint32_t frame = frame_number (said);
          if (write (card.fd, &frame, sizeof frame) < 0) /* nobody fetched it in time */
            said = due - 1;
        }
    }
  check_order (card.heard, RATE / 2);
  g_assert_cmpint (device.n_triggers, ==, 0);
  card_close (&card);
}

static void
test_mapped (void)
{
  static const uint8_t empty[FRAGMENTS * FRAGMENT];
  Card card;

  device = (Device){ .caps = DSP_CAP_MMAP | DSP_CAP_TRIGGER };
  card_open (&card, "oss,id=a,in.dev=%/dsp,try-mmap=on", true);
  device.buffer = __real_open64 (card.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* the thread may be the last to go */
  g_assert_cmpint (write (device.buffer, empty, sizeof empty), ==, sizeof empty);
  vm_audio_set_active (card.voice, true);
  for (int i = 0; i < PATIENCE_S * 100 && card.heard->len < RATE; i++)
    bench_run (&card.bench, 10 * VM_NS_PER_MS);
  check_order (card.heard, RATE / 2);
  g_assert_cmpint (device.n_triggers, ==, 2);
  g_assert_cmpint (device.triggers[0], ==, 0);
  g_assert_cmpint (device.triggers[1], ==, PCM_ENABLE_INPUT);
  card_close (&card);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  signal (SIGPIPE, SIG_IGN);
  g_test_add_func ("/oss/play", test_play);
  g_test_add_func ("/oss/asks", test_asks);
  g_test_add_func ("/oss/record", test_record);
  g_test_add_func ("/oss/mapped", test_mapped);
  return g_test_run ();
}
