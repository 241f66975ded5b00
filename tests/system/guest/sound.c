/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound from inside a Linux guest, with nothing but the kernel: a PCM device by its ioctls, or a card's registers.
 *
 *   sound mixer [NAME VALUE]...        all switches on, all volumes up, but those named; for recording only those named
 *   sound play RATE CHANNELS FRAMES    samples that count up, 16 bits
 *   sound tone RATE SECONDS HZ         a sine on the left, a mark at the start of each second on the right
 *   sound record RATE SECONDS FILE     two channels of 16 bits
 *   sound sb16 | cs4231a | gus         the same by ISA DMA: 32768 frames of two channels (gus: a tone of 441 Hz)
 *   sound virtio                       the same by a queue: 16384 frames of two channels
 *   sound adlib | speaker              a tone of 440 Hz for two seconds
 *
 * The card is CARD, its device is DEVICE of the environment, or 0. "tone" and "record" tell port TELL, a line a period,
 * which frame the card has come to. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_snd.h>
#include <math.h>
#include <sound/asound.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DMA_BUFFER 0x700000u /* kept free by memmap= */
#define DMA_BYTES 0x20000u
#define PERIOD 1024u

static void
fail (const char *what)
{
  perror (what);
  exit (1);
}

static void
wait_ms (int ms)
{
  struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

  nanosleep (&time, NULL);
}

static const char *
setting (const char *name)
{
  const char *value = getenv (name);

  return value ? value : "0";
}

/* --- mixer
 * ------------------------------------------------------------------------------------------------------------ */

static void
set_control (int fd, const struct snd_ctl_elem_id *id, int argc, char **argv)
{
  struct snd_ctl_elem_info info = { .id = *id };
  struct snd_ctl_elem_value value = { .id = *id };
  const char *name = (const char *) id->name;
  long wanted;

  if (ioctl (fd, SNDRV_CTL_IOCTL_ELEM_INFO, &info) < 0)
    return;
  long most = info.type == SNDRV_CTL_ELEM_TYPE_INTEGER   ? info.value.integer.max
              : info.type == SNDRV_CTL_ELEM_TYPE_BOOLEAN ? 1
                                                         : -1;
  wanted = strstr (name, "Capture") ? -1 : most;
  for (int i = 0; i + 1 < argc; i += 2)
    if (!strcmp (argv[i], name))
      wanted = atol (argv[i + 1]);
  if (wanted < 0)
    return;
  for (unsigned i = 0; i < info.count; i++)
    if (info.type == SNDRV_CTL_ELEM_TYPE_ENUMERATED)
      value.value.enumerated.item[i] = (unsigned) wanted;
    else
      value.value.integer.value[i] = wanted;
  if (ioctl (fd, SNDRV_CTL_IOCTL_ELEM_WRITE, &value) >= 0)
    printf ("%s %ld of %ld\n", name, wanted, most);
}

static void
set_mixer (int argc, char **argv)
{
  struct snd_ctl_elem_id ids[256];
  struct snd_ctl_elem_list list = { .space = 256, .pids = ids };
  char path[64];
  int fd;

  snprintf (path, sizeof path, "/dev/snd/controlC%s", setting ("CARD"));
  fd = open (path, O_RDWR);
  if (fd < 0 || ioctl (fd, SNDRV_CTL_IOCTL_ELEM_LIST, &list) < 0)
    fail (path);
  for (unsigned i = 0; i < list.used; i++)
    set_control (fd, &ids[i], argc, argv);
  close (fd);
}

/* --- PCM
 * -------------------------------------------------------------------------------------------------------------- */

static void
set_interval (struct snd_pcm_hw_params *params, int which, unsigned value)
{
  struct snd_interval *interval = &params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];

  interval->min = interval->max = value;
  interval->integer = 1;
}

static void
set_mask (struct snd_pcm_hw_params *params, int which, unsigned value)
{
  struct snd_mask *mask = &params->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

  memset (mask, 0, sizeof *mask);
  mask->bits[value / 32] = 1u << value % 32;
}

typedef struct Pcm
{
  int fd;
  unsigned size; /* frames of its buffer */
} Pcm;

/* KIND: "p" or "c". It starts by itself once there are START frames. */
static Pcm
open_pcm (const char *kind, unsigned rate, unsigned channels, unsigned start)
{
  struct snd_pcm_hw_params hardware;
  struct snd_pcm_sw_params software = { 0 };
  char path[64];
  Pcm pcm;

  snprintf (path, sizeof path, "/dev/snd/pcmC%sD%s%s", setting ("CARD"), setting ("DEVICE"), kind);
  pcm.fd = open (path, O_RDWR);
  if (pcm.fd < 0)
    fail (path);
  memset (&hardware, 0, sizeof hardware);
  memset (hardware.masks, 0xff, sizeof hardware.masks);
  for (unsigned i = 0; i < sizeof hardware.intervals / sizeof hardware.intervals[0]; i++)
    hardware.intervals[i].max = ~0u;
  hardware.rmask = ~0u;
  hardware.info = ~0u;
  set_mask (&hardware, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
  set_mask (&hardware, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
  set_interval (&hardware, SNDRV_PCM_HW_PARAM_CHANNELS, channels);
  set_interval (&hardware, SNDRV_PCM_HW_PARAM_RATE, rate);
  set_interval (&hardware, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD);
  if (ioctl (pcm.fd, SNDRV_PCM_IOCTL_HW_PARAMS, &hardware) < 0)
    fail ("HW_PARAMS");
  pcm.size = hardware.intervals[SNDRV_PCM_HW_PARAM_BUFFER_SIZE - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL].min;
  software.period_step = 1;
  software.avail_min = 1;
  software.start_threshold = pcm.size < start ? pcm.size : start;
  software.stop_threshold = pcm.size;
  if (ioctl (pcm.fd, SNDRV_PCM_IOCTL_SW_PARAMS, &software) < 0 || ioctl (pcm.fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
    fail ("PREPARE");
  return pcm;
}

static void
play (unsigned rate, unsigned channels, unsigned frames)
{
  struct snd_xferi transfer = { 0 };
  int16_t *samples = malloc (frames * channels * 2);
  Pcm pcm = open_pcm ("p", rate, channels, frames);

  for (unsigned i = 0; i < frames * channels; i++)
    samples[i] = (int16_t) (i + 1);
  transfer.buf = samples;
  transfer.frames = frames;
  if (ioctl (pcm.fd, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &transfer) < 0)
    fail ("WRITEI_FRAMES");
  if (ioctl (pcm.fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
    fail ("DRAIN");
  printf ("played %ld of %u, buffer %u\n", transfer.result, frames, pcm.size);
  close (pcm.fd);
}

/* FRAME of all is where the stream began the last time. */
static void
tell (const Pcm *pcm, unsigned long frame)
{
  unsigned port = (unsigned) strtoul (setting ("TELL"), NULL, 0);
  struct snd_pcm_status status = { 0 };
  char line[32];

  if (!port || ioctl (pcm->fd, SNDRV_PCM_IOCTL_STATUS, &status) < 0)
    return;
  snprintf (line, sizeof line, "%lu\n", frame + status.hw_ptr);
  for (const char *at = line; *at; at++)
    outb ((unsigned char) *at, port);
}

/* Moves FRAMES, or up to the end of a second; returns how many, 0 after an overrun or underrun. */
static unsigned
move (const Pcm *pcm, unsigned long request, int16_t *samples, unsigned frames)
{
  struct snd_xferi transfer = { .buf = samples, .frames = frames };

  if (ioctl (pcm->fd, request, &transfer) >= 0)
    return (unsigned) transfer.result;
  if (errno != EPIPE || ioctl (pcm->fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
    fail ("transfer");
  return 0;
}

static void
tone (unsigned rate, unsigned seconds, unsigned hz)
{
  Pcm pcm = open_pcm ("p", rate, 2, ~0u);
  int16_t *second = malloc (rate * 4);
  unsigned long written = 0, began = 0, breaks = 0;

  for (unsigned i = 0; i < rate; i++)
    {
      second[2 * i] = (int16_t) lrint (8000 * sin (2 * M_PI * hz * i / rate));
      second[2 * i + 1] = i < rate / 500 ? 16000 : 0;
    }
  while (written < (unsigned long) seconds * rate)
    {
      unsigned at = written % rate, rest = rate - at;
      unsigned n = move (&pcm, SNDRV_PCM_IOCTL_WRITEI_FRAMES, second + 2 * at, rest < PERIOD ? rest : PERIOD);
      if (!n)
        {
          breaks++;
          began = written;
        }
      written += n;
      tell (&pcm, began);
    }
  if (ioctl (pcm.fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
    fail ("DRAIN");
  printf ("played %lu frames, %lu breaks, buffer %u\n", written, breaks, pcm.size);
  close (pcm.fd);
}

static void
record (unsigned rate, unsigned seconds, const char *path)
{
  Pcm pcm = open_pcm ("c", rate, 2, 1);
  int16_t samples[2 * PERIOD];
  unsigned long got = 0, began = 0, breaks = 0;
  int file = open (path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

  if (file < 0)
    fail (path);
  while (got < (unsigned long) seconds * rate)
    {
      unsigned n = move (&pcm, SNDRV_PCM_IOCTL_READI_FRAMES, samples, PERIOD);
      if (!n)
        {
          breaks++;
          began = got;
        }
      for (size_t at = 0; at < n * 4;)
        {
          ssize_t wrote = write (file, (char *) samples + at, n * 4 - at);
          if (wrote <= 0)
            fail (path);
          at += (size_t) wrote;
        }
      got += n;
      tell (&pcm, began);
    }
  printf ("recorded %lu frames, %lu breaks, buffer %u\n", got, breaks, pcm.size);
  close (pcm.fd);
  close (file);
}

/* --- ISA
 * ---------------------------------------------------------------------------------------------------------------- */

/* Samples that count, where a DMA controller reaches them. */
static volatile uint8_t *
dma_buffer (void)
{
  int fd = open ("/dev/mem", O_RDWR | O_SYNC);
  void *at = fd < 0 ? MAP_FAILED : mmap (NULL, DMA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, DMA_BUFFER);

  if (at == MAP_FAILED)
    fail ("/dev/mem");
  return at;
}

static void
count_up (volatile uint8_t *bytes, unsigned n)
{
  for (unsigned i = 0; i < n / 2; i++)
    {
      bytes[2 * i] = (uint8_t) (i + 1);
      bytes[2 * i + 1] = (uint8_t) ((i + 1) >> 8);
    }
}

static void
program_dma (unsigned channel, unsigned addr, unsigned bytes)
{
  static const uint8_t pages[8] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
  unsigned wide = channel >= 4, n = channel & 3, base = wide ? 0xc0 : 0, step = wide ? 2 : 1;
  unsigned at = wide ? addr >> 1 : addr, count = (wide ? bytes / 2 : bytes) - 1;

  outb (4 | n, base + 10 * step);
  outb (0, base + 12 * step);
  outb (0x48 | n, base + 11 * step);
  outb (at & 255, base + 2 * n * step);
  outb (at >> 8 & 255, base + 2 * n * step);
  outb (count & 255, base + (2 * n + 1) * step);
  outb (count >> 8, base + (2 * n + 1) * step);
  outb (addr >> 16, pages[channel]);
  outb (n, base + 10 * step);
}

static void
dsp (unsigned value)
{
  while (inb (0x22c) & 0x80)
    ;
  outb (value, 0x22c);
}

static void
play_sb16 (void)
{
  count_up (dma_buffer (), DMA_BYTES);
  outb (1, 0x226);
  wait_ms (1);
  outb (0, 0x226);
  wait_ms (1);
  if (!(inb (0x22e) & 0x80) || inb (0x22a) != 0xaa)
    fail ("no DSP");
  program_dma (5, DMA_BUFFER, DMA_BYTES);
  dsp (0x41);
  dsp (44100 >> 8);
  dsp (44100 & 255);
  dsp (0xb0);
  dsp (0x30);
  dsp (0xff);
  dsp (0xff); /* 65536 samples */
  for (int i = 0; i < 3000 && (outb (0x82, 0x224), !(inb (0x225) & 2)); i++)
    wait_ms (1);
  inb (0x22f);
}

static void
cs (unsigned reg, unsigned value)
{
  outb (reg, 0x534);
  outb (value, 0x535);
}

static void
play_cs4231a (void)
{
  count_up (dma_buffer (), DMA_BYTES);
  for (unsigned half = 0; half < 2; half++) /* a channel of bytes has 64 KiB at a time */
    {
      program_dma (3, DMA_BUFFER + half * 0x10000, 0x10000);
      cs (0x40 | 8, 0x5b);
      cs (0x40 | 9, 0x04);
      cs (6, 0);
      cs (7, 0);
      cs (15, 0xff);
      cs (14, 0x3f);
      outb (0, 0x536);
      cs (9, 0x05);
      for (int i = 0; i < 3000 && !(inb (0x536) & 1); i++)
        wait_ms (1);
      cs (9, 0x04);
    }
}

static void
gus8 (unsigned reg, unsigned value)
{
  outb (reg, 0x343);
  outb (value, 0x345);
}

static void
gus16 (unsigned reg, unsigned value)
{
  outb (reg, 0x343);
  outw (value, 0x344);
}

static void
play_gus (void)
{
  volatile uint8_t *bytes = dma_buffer ();

  for (unsigned i = 0; i < 128; i++)
    bytes[i] = i % 100 < 50 ? 0xff : 0;
  gus8 (0x4c, 0);
  wait_ms (1);
  gus8 (0x4c, 7);
  outb (8, 0x240);
  program_dma (3, DMA_BUFFER, 128);
  gus16 (0x42, 0x20);
  gus8 (0x41, 0xa1);
  gus8 (0x0e, 0xcd);
  outb (0, 0x342);
  gus16 (0x01, 0x400);
  gus16 (0x02, 0x200 >> 7);
  gus16 (0x03, 0);
  gus16 (0x04, 0x264 >> 7);
  gus16 (0x05, 0x264 << 9 & 0xffff);
  gus16 (0x0a, 0x200 >> 7);
  gus16 (0x0b, 0);
  gus8 (0x0c, 7);
  gus16 (0x09, 0xfff0);
  gus8 (0x0d, 3);
  gus8 (0x00, 8);
  wait_ms (2000);
  gus8 (0x00, 3);
}

static void
opl (unsigned reg, unsigned value)
{
  outb (reg, 0x388);
  outb (value, 0x389);
}

static void
play_adlib (void)
{
  static const uint8_t tone[][2] = { { 0x20, 0x21 }, { 0x23, 0x21 }, { 0x40, 0x3f }, { 0x43, 0x00 }, { 0x60, 0xf0 },
                                     { 0x63, 0xf0 }, { 0x80, 0x0f }, { 0x83, 0x0f }, { 0xa0, 0x44 }, { 0xb0, 0x32 } };

  for (unsigned i = 0; i < sizeof tone / sizeof tone[0]; i++)
    opl (tone[i][0], tone[i][1]);
  wait_ms (2000);
  opl (0xb0, 0x12);
}

static void
play_speaker (void)
{
  unsigned count = 1193182 / 440;

  outb (0xb6, 0x43);
  outb (count & 255, 0x42);
  outb (count >> 8, 0x42);
  outb (inb (0x61) | 3, 0x61);
  wait_ms (2000);
  outb (inb (0x61) & ~3, 0x61);
}

/* --- virtio
 * ------------------------------------------------------------------------------------------------------------ */

#define QUEUE 64u       /* descriptors */
#define QUEUES 0x10000u /* in the buffer, behind the samples; a page for each part of a queue */
#define MESSAGES 0x18000u
#define PIECE 4096u

typedef struct Virtio
{
  volatile struct virtio_pci_common_cfg *common;
  volatile uint8_t *notify;
  uint32_t multiplier;
  volatile uint8_t *memory;
} Virtio;

/* The device's registers, by its capabilities. */
static Virtio
find_virtio (void)
{
  DIR *all = opendir ("/sys/bus/pci/devices");
  Virtio v = { .memory = dma_buffer () };
  uint8_t config[256] = { 0 };
  char path[300];

  for (struct dirent *one; !v.common && all && (one = readdir (all));)
    {
      snprintf (path, sizeof path, "/sys/bus/pci/devices/%s/config", one->d_name);
      int fd = open (path, O_RDWR);
      if (fd < 0 || read (fd, config, sizeof config) < 64 || memcmp (config, "\xf4\x1a\x59\x10", 4))
        {
          close (fd);
          continue;
        }
      config[4] |= 6; /* memory, and as a master */
      if (pwrite (fd, config + 4, 2, 4) != 2)
        fail (path);
      for (unsigned at = config[0x34]; at; at = config[at + 1])
        {
          const struct virtio_pci_notify_cap *cap = (const void *) (config + at);
          if (cap->cap.cap_vndr != 9
              || (cap->cap.cfg_type != VIRTIO_PCI_CAP_COMMON_CFG && cap->cap.cfg_type != VIRTIO_PCI_CAP_NOTIFY_CFG))
            continue;
          snprintf (path, sizeof path, "/sys/bus/pci/devices/%s/resource%u", one->d_name, cap->cap.bar);
          int bar = open (path, O_RDWR | O_SYNC);
          size_t size = cap->cap.offset + cap->cap.length;
          uint8_t *base = bar < 0 ? MAP_FAILED : mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
          if (base == MAP_FAILED)
            fail (path);
          if (cap->cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG)
            v.common = (volatile struct virtio_pci_common_cfg *) (base + cap->cap.offset);
          else
            {
              v.notify = base + cap->cap.offset;
              v.multiplier = cap->notify_off_multiplier;
            }
        }
      close (fd);
    }
  if (!v.common || !v.notify)
    fail ("no virtio-sound");
  return v;
}

static uint32_t
queue_at (unsigned n, unsigned part)
{
  return QUEUES + (n * 3 + part) * 0x1000;
}

static void
start_queue (const Virtio *v, unsigned n)
{
  uint64_t at[3];

  for (unsigned part = 0; part < 3; part++)
    {
      at[part] = DMA_BUFFER + queue_at (n, part);
      for (unsigned i = 0; i < 0x1000; i++)
        v->memory[queue_at (n, part) + i] = 0;
    }
  v->common->queue_select = n;
  v->common->queue_size = QUEUE;
  v->common->queue_desc_lo = (uint32_t) at[0];
  v->common->queue_desc_hi = 0;
  v->common->queue_avail_lo = (uint32_t) at[1];
  v->common->queue_avail_hi = 0;
  v->common->queue_used_lo = (uint32_t) at[2];
  v->common->queue_used_hi = 0;
  v->common->queue_enable = 1;
}

/* N descriptors from FIRST on, the last one for the device to write, as one chain. */
static void
add_chain (const Virtio *v, unsigned queue, unsigned first, unsigned n, const uint32_t (*pieces)[2])
{
  volatile struct vring_desc *desc = (volatile struct vring_desc *) (v->memory + queue_at (queue, 0));
  volatile struct vring_avail *avail = (volatile struct vring_avail *) (v->memory + queue_at (queue, 1));

  for (unsigned i = 0; i < n; i++)
    {
      desc[first + i].addr = DMA_BUFFER + pieces[i][0];
      desc[first + i].len = pieces[i][1];
      desc[first + i].flags = i + 1 < n ? VRING_DESC_F_NEXT : VRING_DESC_F_WRITE;
      desc[first + i].next = (uint16_t) (first + i + 1);
    }
  avail->ring[avail->idx % QUEUE] = (uint16_t) first;
  __sync_synchronize ();
  avail->idx++;
}

/* Until all that was added came back. */
static void
ring_and_wait (const Virtio *v, unsigned queue, int ms)
{
  volatile struct vring_avail *avail = (volatile struct vring_avail *) (v->memory + queue_at (queue, 1));
  volatile struct vring_used *used = (volatile struct vring_used *) (v->memory + queue_at (queue, 2));

  v->common->queue_select = queue;
  *(volatile uint16_t *) (v->notify + v->common->queue_notify_off * v->multiplier) = (uint16_t) queue;
  while (ms-- > 0 && used->idx != avail->idx)
    wait_ms (1);
  if (used->idx != avail->idx)
    fail ("the queue does not go on");
}

static void
expect_ok (const Virtio *v, uint32_t at)
{
  if (*(volatile uint32_t *) (v->memory + at) != VIRTIO_SND_S_OK)
    fail ("refused");
}

static void
control (const Virtio *v, uint32_t code)
{
  const struct virtio_snd_pcm_set_params message = {
    .hdr = { .hdr = { .code = code } },
    .buffer_bytes = 16 * PIECE,
    .period_bytes = PIECE,
    .channels = 2,
    .format = VIRTIO_SND_PCM_FMT_S16,
    .rate = VIRTIO_SND_PCM_RATE_44100,
  };
  const uint32_t size = code == VIRTIO_SND_R_PCM_SET_PARAMS ? sizeof message : sizeof message.hdr;

  memcpy ((void *) (v->memory + MESSAGES), &message, sizeof message);
  add_chain (v, VIRTIO_SND_VQ_CONTROL, 0, 2, (const uint32_t[][2]){ { MESSAGES, size }, { MESSAGES + 64, 4 } });
  ring_and_wait (v, VIRTIO_SND_VQ_CONTROL, 1000);
  expect_ok (v, MESSAGES + 64);
}

static void
play_virtio (void)
{
  static const unsigned queues[] = { VIRTIO_SND_VQ_CONTROL, VIRTIO_SND_VQ_TX };
  Virtio v = find_virtio ();

  v.common->device_status = 0;
  while (v.common->device_status)
    ;
  v.common->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
  v.common->guest_feature_select = 0;
  v.common->guest_feature = 0;
  v.common->guest_feature_select = 1;
  v.common->guest_feature = 1; /* VIRTIO_F_VERSION_1 */
  v.common->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
  for (unsigned i = 0; i < 2; i++)
    start_queue (&v, queues[i]);
  v.common->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
  count_up (v.memory, QUEUES);
  control (&v, VIRTIO_SND_R_PCM_SET_PARAMS);
  control (&v, VIRTIO_SND_R_PCM_PREPARE);
  *(volatile uint32_t *) (v.memory + MESSAGES + 128) = 0; /* of stream 0 */
  for (uint32_t i = 0; i < 16; i++)
    add_chain (&v, VIRTIO_SND_VQ_TX, 3 * i, 3,
               (const uint32_t[][2]){ { MESSAGES + 128, 4 }, { i * PIECE, PIECE }, { MESSAGES + 256 + 8 * i, 8 } });
  control (&v, VIRTIO_SND_R_PCM_START);
  ring_and_wait (&v, VIRTIO_SND_VQ_TX, 3000);
  for (uint32_t i = 0; i < 16; i++)
    expect_ok (&v, MESSAGES + 256 + 8 * i);
  control (&v, VIRTIO_SND_R_PCM_STOP);
  control (&v, VIRTIO_SND_R_PCM_RELEASE);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *name;
    void (*play) (void);
  } cards[] = { { "sb16", play_sb16 },   { "cs4231a", play_cs4231a }, { "gus", play_gus },
                { "adlib", play_adlib }, { "virtio", play_virtio },   { "speaker", play_speaker } };

  if (argc < 2)
    return 2;
  if (!strcmp (argv[1], "mixer"))
    set_mixer (argc - 2, argv + 2);
  else if (!strcmp (argv[1], "play") && argc == 5)
    play ((unsigned) atoi (argv[2]), (unsigned) atoi (argv[3]), (unsigned) atoi (argv[4]));
  else if (iopl (3) < 0)
    fail ("iopl");
  else if (!strcmp (argv[1], "tone") && argc == 5)
    tone ((unsigned) atoi (argv[2]), (unsigned) atoi (argv[3]), (unsigned) atoi (argv[4]));
  else if (!strcmp (argv[1], "record") && argc == 5)
    record ((unsigned) atoi (argv[2]), (unsigned) atoi (argv[3]), argv[4]);
  for (unsigned i = 0; i < sizeof cards / sizeof cards[0]; i++)
    if (!strcmp (argv[1], cards[i].name))
      cards[i].play ();
  return 0;
}
