/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A WAV file that is being written, by a thread of its own: nobody waits for the disk but who closes it. */
#pragma once

#include "audio/audio.h"

typedef struct VmWavFile VmWavFile;

/* The file alone; the header comes with the format. */
VmWavFile *vm_wav_file_new (const char *path, GError **error);
/* FORMAT becomes the nearest that such files have: little-endian, unsigned in bytes and signed in words. */
void     vm_wav_file_set_format (VmWavFile *file, VmAudioFormat *format);
void     vm_wav_file_write (VmWavFile *file, const void *bytes, size_t size);
uint64_t vm_wav_file_bytes (const VmWavFile *file); /* of sound, so far */
void     vm_wav_file_close (VmWavFile *file);
