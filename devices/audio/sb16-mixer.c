/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sound Blaster 16: the CT1745 mixer (Sound Blaster Series Hardware Programming Guide, chapter 4). */
#include "devices/audio/sb16.h"

#include <math.h>

static const uint8_t irqs[] = { 9, 5, 7, 10 }; /* a bit of register 80h each */

/* Registers of older cards show the upper bits of pairs of these, left before right. */
static const struct
{
  uint8_t old, pair;
} old_registers[] = { { 0x04, 0x32 }, { 0x22, 0x30 }, { 0x26, 0x34 }, { 0x28, 0x36 }, { 0x2e, 0x38 } };

/* Levels go in steps of 2 dB, the highest is 0 dB; gains double from one to the next. */
void
sb16_update_volume (Sb16 *self)
{
  float out[2], in[2];

  for (unsigned side = 0; side < 2; side++)
    {
      int master = self->mixer[SB_MIXER_MASTER + side] >> 3, voice = self->mixer[SB_MIXER_VOICE + side] >> 3;
      int gain = 1 << (self->mixer[SB_MIXER_OUTPUT_GAIN + side] >> 6);

      out[side] = (float) (pow (10, 2 * (master + voice - 62) / 20.0) * gain);
      in[side] = (float) (1 << (self->mixer[SB_MIXER_INPUT_GAIN + side] >> 6));
    }
  for (unsigned i = 0; i < 2; i++)
    {
      vm_audio_set_volume (self->transfer[i].out, false, 2, out);
      vm_audio_set_volume (self->transfer[i].in, false, 2, in);
    }
  vm_audio_set_volume (self->direct, false, 2, out);
}

void
sb16_connect (Sb16 *self)
{
  uint8_t which = self->mixer[SB_MIXER_DMA];
  unsigned dma8 = which & 0x0b ? (unsigned) __builtin_ctz (which & 0x0b) : SB16_NO_DMA;
  unsigned dma16 = which & 0xe0 ? (unsigned) __builtin_ctz (which & 0xe0) : dma8;
  unsigned irq = VM_ISA_IRQS;

  for (unsigned i = 0; i < G_N_ELEMENTS (irqs); i++)
    if (self->mixer[SB_MIXER_IRQ] >> i & 1)
      irq = irqs[i];
  vm_irq_lower (&self->line);
  self->line = vm_isa_irq (&self->parent.parent, irq);
  vm_irq_set (&self->line, self->status != 0);
  sb16_transfer_attach (&self->transfer[1], SB16_NO_DMA);
  sb16_transfer_attach (&self->transfer[0], dma8);
  sb16_transfer_attach (&self->transfer[1], dma16);
}

/* Levels begin at full height, not at the chip's 24 of 31: there is nobody here who sets them when the machine starts,
 * and the host has a volume of its own. */
void
sb16_mixer_reset (Sb16 *self)
{
  uint8_t irq = self->mixer[SB_MIXER_IRQ], dma = self->mixer[SB_MIXER_DMA];

  memset (self->mixer, 0, sizeof self->mixer);
  for (unsigned reg = 0x30; reg <= 0x35; reg++)
    self->mixer[reg] = 31 << 3;
  self->mixer[0x3c] = 0x1f;
  self->mixer[0x3d] = 0x15;
  self->mixer[0x3e] = 0x0b;
  for (unsigned reg = 0x44; reg <= 0x47; reg++)
    self->mixer[reg] = 8 << 4;
  self->mixer[SB_MIXER_IRQ] = irq;
  self->mixer[SB_MIXER_DMA] = dma;
  sb16_update_volume (self);
}

uint8_t
sb16_mixer_read (const Sb16 *self)
{
  for (size_t i = 0; i < G_N_ELEMENTS (old_registers); i++)
    if (old_registers[i].old == self->mixer_index)
      {
        unsigned pair = old_registers[i].pair;

        return (uint8_t) ((self->mixer[pair] & 0xf0) | self->mixer[pair + 1] >> 4);
      }
  switch (self->mixer_index)
    {
    case 0x0a: /* microphone, in three bits */
      return self->mixer[0x3a] >> 5;
    case SB_MIXER_IRQ:
      return self->mixer[SB_MIXER_IRQ] | 0xf0;
    case SB_MIXER_STATUS: /* and the kind of card in the upper half */
      return self->status | 2 << 4;
    default:
      return self->mixer[self->mixer_index];
    }
}

void
sb16_mixer_write (Sb16 *self, uint8_t value)
{
  uint8_t reg = self->mixer_index;

  for (size_t i = 0; i < G_N_ELEMENTS (old_registers); i++)
    if (old_registers[i].old == reg)
      {
        self->mixer[old_registers[i].pair] = (value & 0xf0) | 8;
        self->mixer[old_registers[i].pair + 1] = (uint8_t) (value << 4 | 8);
      }
  if (reg == 0)
    sb16_mixer_reset (self);
  else if (reg == 0x0a)
    self->mixer[0x3a] = (uint8_t) (value << 5 | 0x18);
  else if (reg >= 0x30 && reg <= 0x3a)
    self->mixer[reg] = value & 0xf8;
  else if (reg == SB_MIXER_IRQ)
    self->mixer[reg] = value & 0x0f;
  else if (reg == SB_MIXER_DMA)
    self->mixer[reg] = value & 0xeb;
  else if (reg == SB_MIXER_OUTPUT || (reg >= 0x3b && reg <= 0x47))
    self->mixer[reg] = value;
  if (reg == SB_MIXER_IRQ || reg == SB_MIXER_DMA)
    sb16_connect (self);
  sb16_update_volume (self);
}
