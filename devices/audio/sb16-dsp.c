/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound Blaster 16: the commands of its DSP (Sound Blaster Series Hardware Programming Guide, chapters 2, 3 and 6). */
#include "devices/audio/sb16.h"

static void
dsp_reply (Sb16 *self, uint8_t byte)
{
  if (self->n_reply < sizeof self->reply)
    self->reply[(self->reply_at + self->n_reply++) % sizeof self->reply] = byte;
}

uint8_t
sb16_dsp_read (Sb16 *self)
{
  if (self->n_reply > 0)
    {
      self->last_reply = self->reply[self->reply_at];
      self->reply_at = (uint8_t) ((self->reply_at + 1) % sizeof self->reply);
      self->n_reply--;
    }
  return self->last_reply;
}

/* --- transfers -------------------------------------------------------------------------------- */

static uint32_t
dsp_word (const Sb16 *self, unsigned at)
{
  return self->args[at] | (uint32_t) self->args[at + 1] << 8;
}

static void
start (Sb16 *self, Sb16Transfer *t, uint32_t samples)
{
  t->block = t->left = samples * (t->sixteen ? 2 : 1);
  t->running = true;
  t->paused = t->ending = false;
  sb16_transfer_update (t);
}

/* Commands of the cards before: bytes, of as many channels as the mixer or a command says. */
static void
start_old (Sb16 *self, bool input, bool automatic)
{
  Sb16Transfer *t = &self->transfer[0];

  t->input = input;
  t->automatic = automatic;
  t->packed = 0;
  t->sixteen = t->is_signed = false;
  t->stereo = input ? self->input_stereo : self->mixer[SB_MIXER_OUTPUT] >> 1 & 1;
  start (self, t, (automatic ? self->block : dsp_word (self, 0)) + 1);
}

/* Compressed ones: PACKED in a byte. Without a reference the sound goes on from the block before. */
static void
start_packed (Sb16 *self, bool automatic, uint8_t packed, bool reference)
{
  Sb16Transfer *t = &self->transfer[0];

  if (reference || packed != t->packed)
    t->n_spare = 0;
  t->input = t->stereo = t->sixteen = t->is_signed = false;
  t->automatic = automatic;
  t->packed = packed;
  t->reference = reference;
  start (self, t, (automatic ? self->block : dsp_word (self, 0)) + 1);
}

/* B0h to CFh: everything in the command and its three bytes. */
static void
start_new (Sb16 *self)
{
  bool sixteen = self->command < 0xc0;
  Sb16Transfer *t = &self->transfer[sixteen];

  t->sixteen = sixteen;
  t->input = self->command >> 3 & 1;
  t->automatic = self->command >> 2 & 1;
  t->is_signed = self->args[0] >> 4 & 1;
  t->stereo = self->args[0] >> 5 & 1;
  t->packed = 0;
  start (self, t, dsp_word (self, 1) + 1);
}

static void
set_paused (Sb16 *self, unsigned index, bool paused)
{
  self->transfer[index].paused = paused;
  sb16_transfer_update (&self->transfer[index]);
}

static void
set_rate (Sb16 *self, uint32_t rate, bool time_constant)
{
  self->rate = rate;
  self->time_constant = time_constant;
  for (unsigned i = 0; i < 2; i++)
    if (self->transfer[i].running)
      sb16_transfer_update (&self->transfer[i]);
}

static void
play_silence (Sb16 *self)
{
  uint64_t samples = dsp_word (self, 0) + 1;
  int64_t now = vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL);

  vm_timer_set (&self->silence, now + (int64_t) (samples * VM_NS_PER_SEC / MAX (1000, self->rate)));
}

static void
play_direct (Sb16 *self)
{
  vm_step_signal_set (&self->signal, vm_clock_now (self->parent.parent.env->clocks, VM_CLOCK_VIRTUAL),
                      (int16_t) ((self->args[0] - 128) * 256));
  vm_audio_set_active (self->direct, true);
}

/* --- commands --------------------------------------------------------------------------------- */

static void
dsp_say (Sb16 *self)
{
  static const char copyright[] = "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

  switch (self->command)
    {
    case 0x08: /* version of the signal processor that is not there */
      dsp_reply (self, 0x18);
      break;
    case 0x0f:
      dsp_reply (self, self->asp[self->args[0]]);
      break;
    case 0x20: /* a sample: silence */
      dsp_reply (self, 0x80);
      break;
    case 0xd8:
      dsp_reply (self, self->speaker ? 0xff : 0);
      break;
    case 0xe0:
      dsp_reply (self, (uint8_t) ~self->args[0]);
      break;
    case 0xe1:
      dsp_reply (self, (uint8_t) (self->version >> 8));
      dsp_reply (self, (uint8_t) self->version);
      break;
    case 0xe3:
      for (size_t i = 0; i < sizeof copyright; i++)
        dsp_reply (self, (uint8_t) copyright[i]);
      break;
    case 0xe8:
      dsp_reply (self, self->test);
      break;
    default: /* F8h */
      dsp_reply (self, 0);
      break;
    }
}

static void
dsp_transfer (Sb16 *self)
{
  switch (self->command)
    {
    case 0x14:
    case 0x91:
      start_old (self, false, false);
      break;
    case 0x1c:
    case 0x90:
      start_old (self, false, true);
      break;
    case 0x24:
    case 0x99:
      start_old (self, true, false);
      break;
    case 0x2c:
    case 0x98:
      start_old (self, true, true);
      break;
    case 0x16:
    case 0x17:
      start_packed (self, false, 4, self->command & 1);
      break;
    case 0x74:
    case 0x75:
      start_packed (self, false, 2, self->command & 1);
      break;
    case 0x76:
    case 0x77:
      start_packed (self, false, 3, self->command & 1);
      break;
    case 0x1f:
      start_packed (self, true, 4, true);
      break;
    case 0x7d:
      start_packed (self, true, 2, true);
      break;
    default: /* 7Fh */
      start_packed (self, true, 3, true);
      break;
    }
}

static void
dsp_execute (Sb16 *self)
{
  switch (self->command)
    {
    case 0x0e:
      self->asp[self->args[0]] = self->args[1];
      break;
    case 0x10:
      play_direct (self);
      break;
    case 0x14:
    case 0x16:
    case 0x17:
    case 0x1c:
    case 0x1f:
    case 0x24:
    case 0x2c:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x7d:
    case 0x7f:
    case 0x90:
    case 0x91:
    case 0x98:
    case 0x99:
      dsp_transfer (self);
      break;
    case 0x40:
      set_rate (self, 1000000 / (256u - self->args[0]), true);
      break;
    case 0x41:
    case 0x42: /* the upper byte first */
      set_rate (self, (uint32_t) self->args[0] << 8 | self->args[1], false);
      break;
    case 0x45:
    case 0x47:
      self->transfer[self->command == 0x47].ending = false;
      break;
    case 0x48:
      self->block = (uint16_t) dsp_word (self, 0);
      break;
    case 0x80:
      play_silence (self);
      break;
    case 0xa0:
    case 0xa8:
      self->input_stereo = self->command == 0xa8;
      break;
    case 0xb0 ... 0xcf:
      start_new (self);
      break;
    case 0xd0:
    case 0xd5:
      set_paused (self, self->command == 0xd5, true);
      break;
    case 0xd4:
    case 0xd6:
      set_paused (self, self->command == 0xd6, false);
      break;
    case 0xd1:
    case 0xd3:
      self->speaker = self->command == 0xd1;
      break;
    case 0xd9:
    case 0xda:
      self->transfer[self->command == 0xd9].ending = true;
      break;
    case 0xe4:
      self->test = self->args[0];
      break;
    case 0xf2:
    case 0xf3:
      sb16_raise (self, (uint8_t) (1 << (self->command == 0xf3)));
      break;
    case 0x08:
    case 0x0f:
    case 0x20:
    case 0xd8:
    case 0xe0:
    case 0xe1:
    case 0xe3:
    case 0xe8:
    case 0xf8:
      dsp_say (self);
      break;
    default:
      break;
    }
}

static uint8_t
dsp_arguments (uint8_t command)
{
  switch (command)
    {
    case 0x04:
    case 0x08:
    case 0x0f:
    case 0x10:
    case 0x38:
    case 0x40:
    case 0xe0:
    case 0xe2:
    case 0xe4:
    case 0xf9:
      return 1;
    case 0x05:
    case 0x0e:
    case 0x14:
    case 0x16:
    case 0x17:
    case 0x24:
    case 0x41:
    case 0x42:
    case 0x48:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x80:
    case 0x91:
    case 0x99:
      return 2;
    case 0xb0 ... 0xcf:
      return 3;
    default:
      return 0;
    }
}

void
sb16_dsp_write (Sb16 *self, uint8_t value)
{
  if (self->wanted == 0)
    {
      self->command = value;
      self->n_args = 0;
      self->wanted = dsp_arguments (value);
    }
  else
    {
      self->args[self->n_args++ & 3] = value;
      self->wanted--;
    }
  if (self->wanted == 0)
    dsp_execute (self);
}

void
sb16_dsp_reset (Sb16 *self)
{
  self->wanted = self->n_args = 0;
  self->reply_at = self->n_reply = self->last_reply = 0;
  self->rate = 11025;
  self->time_constant = self->input_stereo = self->speaker = false;
  self->block = 0;
  self->status = 0;
  vm_irq_lower (&self->line);
  vm_timer_cancel (&self->silence);
  for (unsigned i = 0; i < 2; i++)
    {
      self->transfer[i].running = self->transfer[i].paused = self->transfer[i].ending = false;
      self->transfer[i].adpcm = (VmCreativeAdpcm){ .sample = 0x80 };
      sb16_transfer_update (&self->transfer[i]);
    }
}
