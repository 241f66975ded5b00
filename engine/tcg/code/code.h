/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was decoded or translated from each page of guest RAM, and how it goes away when the page is written.
 *
 * Every vCPU has a registry of its own (VmCode) that only its thread touches: pages with decoded instructions
 * and blocks. What all share is one table of pages with the 64-byte lines that anybody holds something from
 * (VmCodeShared): a writer that misses the lines is done; one that hits makes every vCPU drop what overlaps,
 * at once its own and by posted work the others'. A RAM page in the table has VM_PAGE_CODE set, so that no
 * TLB lets stores through. */
#pragma once

#include "engine/tcg/decode/insn.h"
#include "engine/tcg/softmmu/tlb.h"

typedef struct VmCode       VmCode;
typedef struct VmCodeShared VmCodeShared;
typedef struct VmCodePage   VmCodePage;
typedef struct VmCodeView   VmCodeView;
typedef struct VmBlock      VmBlock;
typedef struct CodeWait     CodeWait;

/* --- shared by the vCPUs of an accelerator ------------------------------------------------------ */

VmCodeShared *vm_code_shared_new (VmMemory *memory);
void          vm_code_shared_free (VmCodeShared *shared);
/* The address space has a new flat view: every vCPU looks at its next poll. Any thread. */
void vm_code_shared_poll (VmCodeShared *shared);
/* Dirty bits of RAM were cleared: no TLB lets stores through there any more. Machine lock held; until a vCPU gets to it,
 * it may write on, and then says so. */
void vm_code_shared_protect (VmCodeShared *shared, VmRamBlock *ram, uint64_t offset, uint64_t len);

/* Bytes of RAM were written behind VM_PAGE_CODE. From ENV's own thread while it runs guest code. */
void vm_code_written (VmX86Env *env, VmRamBlock *ram, uint64_t offset, uint64_t len);

/* --- a vCPU's registry --------------------------------------------------------------------------- */

/* Instructions decoded from one line, for one code width. */
typedef struct VmCodeLine {
  uint16_t index[64]; /* into VmCodePage.insns; 0: none */
  uint8_t  heat[64];  /* how often a run began here */
} VmCodeLine;

/* A page seen under one mode word: what blocks are found by. */
struct VmCodeView {
  VmCodePage *page;
  VmCodeView *next;   /* of the page */
  uint32_t    mode;
  uint32_t    id;     /* below VM_CODE_VIEWS, never 0 */
};
#define VM_CODE_VIEWS (1u << 20)

struct VmCodePage {
  VmRamBlock    *ram;        /* counted */
  uint64_t       offset;
  const uint8_t *host;
  uint64_t       lines;      /* something was decoded or translated from these */
  VmCodeLine    *line[3][64]; /* by code width 16, 32, 64 */
  VmInsn        *insns;
  unsigned       n_insns, max_insns;
  VmCodeView    *views;
  VmBlock       *blocks;     /* live ones */
  VmBlock       *dead;       /* kept to be revived when the bytes are those again */
  unsigned       n_dead;
  VmBlock       *tails;      /* blocks of other pages whose last instruction ends in this one */
  unsigned       hits;       /* times a write hit live code */
  CodeWait      *wait;       /* other vCPUs that may still hold write entries; NULL: none */
};

/* Where a jump, from another block or from a look-up, enters a block, and what it must bring. */
typedef struct VmBlockLink VmBlockLink;
struct VmBlockLink {
  VmBlock     *from;
  VmBlock     *to;           /* NULL: not linked */
  VmBlockLink *next_to;      /* of those that lead to the same block */
  uint8_t     *patch;        /* writable address of the rel32 */
  const uint8_t *patch_pc;   /* its address when executed, after the four bytes */
  const uint8_t *unlinked;   /* where it leads otherwise */
  uint8_t     *patch_id;     /* writable address of the view's id << VM_PAGE_SHIFT it compares; NULL: same page */
  int32_t      target;       /* offset from the start of the block's page; may be in another one */
  bool         flags_saved;  /* arithmetic flags are in the state block, not in the host register */
  bool         wraps_16;     /* the target RIP is cut to 16 bits */
  uint8_t      variant;
};

struct VmBlock {
  VmBlock       *next;       /* of the page's live or dead ones */
  VmCodePage    *page;
  VmCodeView    *view;
  uint64_t       key;
  uint16_t       start, end; /* bytes translated, as offsets in the page */
  uint64_t       depends;    /* lines outside that were looked at */
  VmCodePage    *tail_page;  /* where the last instruction ends when it runs over the page's end */
  VmBlock       *next_tail;  /* of that page */
  bool           dead;
  uint8_t       *bytes;      /* copy of the guest's bytes */
  const uint8_t *entry;      /* flags in the host register */
  const uint8_t *entry_saved; /* flags in the state block */
  VmBlockLink   *incoming;
  VmBlockLink   *links;      /* its own, an array */
  unsigned       n_links;
  const uint8_t *host_start, *host_end;
  void          *sites;      /* of the compiler */
  unsigned       n_sites;
  unsigned       segment;
};

/* Told by the registry; the compiler supplies them. */
typedef struct VmCodeOps {
  void (*unlink) (void *opaque, VmBlockLink *link);
  void (*link) (void *opaque, VmBlockLink *link);
  void (*killed) (void *opaque, VmBlock *block);
} VmCodeOps;

/* FEATURES: what the guest CPU has, as vm_insn_decode() wants it. */
VmCode *vm_code_new (VmCodeShared *shared, VmX86Cpu *cpu, const uint64_t *features);
void    vm_code_free (VmCode *code);
/* Drops everything, dead blocks and view numbers too. Only while no generated code runs. */
void    vm_code_reset (VmCode *code);
typedef struct VmCodeCount {
  unsigned pages, blocks;
  size_t   memory; /* bytes of decoded instructions */
} VmCodeCount;
VmCodeCount vm_code_count (const VmCode *code);
/* It holds so much that vm_code_reset() is due. */
bool    vm_code_is_full (const VmCode *code);
void    vm_code_set_ops (VmCode *code, const VmCodeOps *ops, void *opaque);

VmCodePage *vm_code_page (VmCode *code, VmRamBlock *ram, uint64_t offset, const uint8_t *host);
VmCodeView *vm_code_view (VmCode *code, VmCodePage *page, uint32_t mode);
VmCodeView *vm_code_view_by_id (VmCode *code, uint32_t id);
/* May anything of PAGE be cached? Not while another vCPU may write to it unseen. */
bool        vm_code_page_ready (VmCodePage *page);
/* Copies the instruction at OFFSET; false when it runs over the page's end (fetch it uncached). */
bool        vm_code_insn (VmCode *code, VmCodePage *page, unsigned offset, uint32_t mode, VmInsn *insn);
/* Counts a run that begins at OFFSET; returns how many there were. */
unsigned    vm_code_heat (VmCodePage *page, unsigned offset, uint32_t mode);
void        vm_code_set_heat (VmCodePage *page, unsigned offset, uint32_t mode, unsigned heat);
#define VM_CODE_HEAT_NEVER 255 /* not to be translated; vm_code_heat() stays below unless it was set */
/* The one at OFFSET that runs over the end of PAGE into NEXT. */
bool        vm_code_insn_over (VmCode *code, VmCodePage *page, VmCodePage *next, unsigned offset, uint32_t mode,
                               VmInsn *insn);
/* Looks at lines without decoding through the cache: they become watched. */
void        vm_code_watch (VmCode *code, VmCodePage *page, uint64_t lines);

static inline uint64_t
vm_block_key (const VmCodeView *view, unsigned offset, unsigned variant)
{
  return (uint64_t) variant << 32 | (uint64_t) view->id << VM_PAGE_SHIFT | offset;
}

VmBlock *vm_code_find (VmCode *code, uint64_t key);
/* A dead block of that key whose bytes are the page's present ones comes back; NULL: none. */
VmBlock *vm_code_revive (VmCode *code, VmCodeView *view, uint64_t key);
void     vm_code_add (VmCode *code, VmBlock *block);
/* Takes BLOCK out for good: its memory is about to be reused. */
void     vm_code_forget (VmCode *code, VmBlock *block);
void     vm_code_link (VmCode *code, VmBlockLink *link, VmBlock *to);
void     vm_code_unlink (VmCode *code, VmBlockLink *link);
/* Drops what was made from the bytes. */
void     vm_code_invalidate (VmCode *code, VmRamBlock *ram, uint64_t offset, uint64_t len);
unsigned vm_code_n_cpus (VmCode *code); /* that share the table */
/* Grows with every block killed: who runs guest code compares it around calls. */
uint32_t vm_code_kills (const VmCode *code);

static inline unsigned
vm_code_bits (uint32_t mode)
{
  return mode & VM_MODE_CS64 ? 64 : mode & VM_MODE_CS32 ? 32 : 16;
}

/* Lines of a page that [OFFSET, OFFSET + LEN) touches; LEN is not 0 and stays in the page. */
static inline uint64_t
vm_code_lines (unsigned offset, unsigned len)
{
  return VM_MASK ((offset + len - 1) >> 6, offset >> 6);
}
