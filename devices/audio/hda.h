/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The link of High Definition Audio (High Definition Audio Specification 1.0a): codecs, their commands and streams. */
#pragma once

#include "engine/bus/device.h"

#define VM_HDA_BUS_TYPE "HDA"
#define VM_HDA_CODECS 15u /* addresses on a link */
#define VM_HDA_ANY_CAD UINT32_MAX

typedef struct VmHdaBus VmHdaBus;
typedef struct VmHdaCodec VmHdaCodec;

/* What a controller does for its codecs. */
typedef struct VmHdaLinkOps
{
  /* Moves LEN bytes of the stream with number TAG (1..15) from the guest's buffers to BUF (OUTPUT) or the other way:
   * how many, fewer when it does not run. */
  uint32_t (*transfer) (VmHdaBus *bus, unsigned tag, bool output, void *buf, uint32_t len);
  bool (*running) (const VmHdaBus *bus, unsigned tag, bool output);
} VmHdaLinkOps;

struct VmHdaBus
{
  VmBus parent;
  const VmHdaLinkOps *ops;
};

struct VmHdaCodec
{
  VmDevice parent;
  uint32_t cad; /* property: address; VM_HDA_ANY_CAD: the next free one */
};

typedef struct VmHdaCodecClass
{
  VmDeviceClass parent;
  /* Carries out VERB (20 bits) on node NID; the response. */
  uint32_t (*command) (VmHdaCodec *codec, unsigned nid, uint32_t verb);
  /* The stream with number TAG may have started or stopped. */
  void (*stream) (VmHdaCodec *codec, unsigned tag, bool output);
} VmHdaCodecClass;

extern const VmType vm_hda_codec_type; /* "hda-codec", abstract */

void vm_hda_bus_init (VmHdaBus *bus, VmDevice *owner, const VmHdaLinkOps *ops);
VmHdaCodec *vm_hda_bus_codec (const VmHdaBus *bus, unsigned cad);                    /* NULL: nobody there */
uint16_t vm_hda_bus_present (const VmHdaBus *bus);                                   /* a bit for each codec */
bool vm_hda_bus_command (const VmHdaBus *bus, uint32_t command, uint32_t *response); /* false: nobody answers */
void vm_hda_bus_stream (const VmHdaBus *bus, unsigned tag, bool output);

static inline VmHdaBus *
vm_hda_bus (const VmHdaCodec *codec)
{
  return (VmHdaBus *) codec->parent.bus;
}
