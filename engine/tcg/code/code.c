/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A vCPU's registry of code pages: decoded instructions, blocks, links between them. */
#include "engine/tcg/code/code-private.h"

#define MAX_MEMORY  (192 * VM_MIB)
#define MAX_DEAD    64 /* dead blocks kept per page */
#define INSN_MAX    15

static uint64_t
page_number (const VmRamBlock *ram, uint64_t offset)
{
  return ram->page_base + (offset >> VM_PAGE_SHIFT);
}

static unsigned
hash (uint64_t number, unsigned bits)
{
  return number * UINT64_C (0x9e3779b97f4a7c15) >> (64 - bits);
}

/* Null when nothing was made from it. */
static VmCodePage *
find_page (VmCode *code, uint64_t number)
{
  unsigned slot = hash (number, RECENT_PAGES_BITS);
  VmCodePage *page = code->recent_page[slot].page;

  if (G_LIKELY (page != NULL && code->recent_page[slot].number == number))
    return page;
  page = g_hash_table_lookup (code->pages, &number);
  if (page)
    {
      code->recent_page[slot].number = number;
      code->recent_page[slot].page = page;
    }
  return page;
}

static unsigned
width_index (uint32_t mode)
{
  return mode & VM_MODE_CS64 ? 2 : mode & VM_MODE_CS32 ? 1 : 0;
}

/* --- pages and views --------------------------------------------------------------------------- */

static void
page_free (gpointer data)
{
  VmCodePage *page = data;

  for (unsigned width = 0; width < 3; width++)
    for (unsigned i = 0; i < 64; i++)
      g_free (page->line[width][i]);
  while (page->views)
    {
      VmCodeView *view = page->views;

      page->views = view->next;
      g_free (view);
    }
  g_clear_pointer (&page->wait, code_wait_unref);
  g_free (page->insns);
  vm_ram_block_unref (page->ram);
  g_free (page);
}

VmCodePage *
vm_code_page (VmCode *code, VmRamBlock *ram, uint64_t offset, const uint8_t *host)
{
  uint64_t number = page_number (ram, offset);
  VmCodePage *page = find_page (code, number);

  if (G_LIKELY (page != NULL))
    return page;
  page = g_new0 (VmCodePage, 1);
  page->ram = vm_ram_block_ref (ram);
  page->offset = offset & VM_PAGE_MASK;
  page->host = host;
  code->memory += sizeof *page;
  g_hash_table_insert (code->pages, g_memdup2 (&number, sizeof number), page);
  return page;
}

VmCodeView *
vm_code_view (VmCode *code, VmCodePage *page, uint32_t mode)
{
  VmCodeView *view;

  for (view = page->views; view; view = view->next)
    if (view->mode == mode)
      return view;
  if (code->views->len >= VM_CODE_VIEWS)
    return NULL;
  view = g_new0 (VmCodeView, 1);
  view->page = page;
  view->mode = mode;
  view->id = code->views->len;
  view->next = page->views;
  page->views = view;
  g_ptr_array_add (code->views, view);
  code->memory += sizeof *view;
  return view;
}

VmCodeView *
vm_code_view_by_id (VmCode *code, uint32_t id)
{
  return code->views->pdata[id];
}

bool
vm_code_page_ready (VmCodePage *page)
{
  if (G_LIKELY (page->wait == NULL))
    return true;
  if (g_atomic_int_get (&page->wait->remaining) > 0)
    return false;
  g_clear_pointer (&page->wait, code_wait_unref);
  return true;
}

void
vm_code_watch (VmCode *code, VmCodePage *page, uint64_t lines)
{
  if (G_LIKELY ((page->lines & lines) == lines))
    return;
  page->lines |= lines;
  code_shared_claim (code, page, lines);
}

/* --- decoded instructions ---------------------------------------------------------------------- */

static VmCodeLine *
line_get (VmCode *code, VmCodePage *page, unsigned width, unsigned number)
{
  if (G_UNLIKELY (page->line[width][number] == NULL))
    {
      page->line[width][number] = g_new0 (VmCodeLine, 1);
      code->memory += sizeof (VmCodeLine);
    }
  return page->line[width][number];
}

static unsigned
insn_slot (VmCode *code, VmCodePage *page)
{
  if (page->n_insns == page->max_insns)
    {
      unsigned more = MAX (page->max_insns * 2, 32);

      code->memory += (more - page->max_insns) * sizeof (VmInsn);
      page->insns = g_renew (VmInsn, page->insns, more);
      page->max_insns = more;
      if (page->n_insns == 0)
        page->n_insns = 1; /* 0 means none */
    }
  return page->n_insns++;
}

/* After many rewrites of a page its array would grow without end: all lines begin anew. */
static void
forget_insns (VmCodePage *page)
{
  for (unsigned width = 0; width < 3; width++)
    for (unsigned i = 0; i < 64; i++)
      if (page->line[width][i])
        memset (page->line[width][i]->index, 0, sizeof page->line[width][i]->index);
  page->n_insns = 1;
}

bool
vm_code_insn (VmCode *code, VmCodePage *page, unsigned offset, uint32_t mode, VmInsn *insn)
{
  unsigned width = width_index (mode);
  VmCodeLine *line = line_get (code, page, width, offset >> 6);
  unsigned index = line->index[offset & 63];
  unsigned room = VM_PAGE_SIZE - offset;

  if (G_LIKELY (index != 0))
    {
      *insn = page->insns[index];
      return true;
    }
  vm_code_watch (code, page, vm_code_lines (offset, MIN (room, INSN_MAX)));
  if (!vm_code_page_ready (page))
    return false;
  if (vm_insn_decode (page->host + offset, MIN (room, INSN_MAX), vm_code_bits (mode), code->features, insn) >
      MIN (room, INSN_MAX))
    return false;
  if (page->n_insns >= 8192)
    forget_insns (page);
  index = insn_slot (code, page);
  page->insns[index] = *insn;
  line->index[offset & 63] = index;
  return true;
}

bool
vm_code_insn_over (VmCode *code, VmCodePage *page, VmCodePage *next, unsigned offset, uint32_t mode, VmInsn *insn)
{
  unsigned room = VM_PAGE_SIZE - offset;
  uint8_t bytes[INSN_MAX];

  if (room >= INSN_MAX)
    return false;
  vm_code_watch (code, page, vm_code_lines (offset, room));
  vm_code_watch (code, next, 1);
  if (!vm_code_page_ready (page) || !vm_code_page_ready (next))
    return false;
  memcpy (bytes, page->host + offset, room);
  memcpy (bytes + room, next->host, INSN_MAX - room);
  return vm_insn_decode (bytes, INSN_MAX, vm_code_bits (mode), code->features, insn) <= INSN_MAX && insn->len > room;
}

unsigned
vm_code_heat (VmCodePage *page, unsigned offset, uint32_t mode)
{
  VmCodeLine *line = page->line[width_index (mode)][offset >> 6];
  unsigned heat;

  if (line == NULL)
    return 0;
  heat = line->heat[offset & 63];
  if (heat < VM_CODE_HEAT_NEVER - 1)
    line->heat[offset & 63] = ++heat;
  return heat;
}

void
vm_code_set_heat (VmCodePage *page, unsigned offset, uint32_t mode, unsigned heat)
{
  VmCodeLine *line = page->line[width_index (mode)][offset >> 6];

  if (line)
    line->heat[offset & 63] = heat;
}

static void
drop_insns (VmCodePage *page, uint64_t lines)
{
  for (unsigned width = 0; width < 3; width++)
    for (unsigned i = 0; i < 64; i++)
      {
        VmCodeLine *line = page->line[width][i];

        if (line == NULL)
          continue;
        if (lines & VM_BIT (i))
          memset (line, 0, sizeof *line);
        else if (i < 63 && lines & VM_BIT (i + 1))
          for (unsigned k = 64 - INSN_MAX; k < 64; k++)
            if (line->index[k] && k + page->insns[line->index[k]].len > 64)
              line->index[k] = 0;
      }
}

/* --- blocks ------------------------------------------------------------------------------------ */

VmBlock *
vm_code_find (VmCode *code, uint64_t key)
{
  VmBlock **recent = &code->recent_block[hash (key, RECENT_BLOCKS_BITS)], *block = *recent;

  if (G_LIKELY (block != NULL && block->key == key))
    return block;
  block = g_hash_table_lookup (code->blocks, &key);
  if (block)
    *recent = block;
  return block;
}

void
vm_code_link (VmCode *code, VmBlockLink *link, VmBlock *to)
{
  g_assert (link->to == NULL && !link->from->dead && !to->dead);
  link->to = to;
  link->next_to = to->incoming;
  to->incoming = link;
  code->ops->link (code->opaque, link);
}

static void
unlink_incoming (VmCode *code, VmBlock *block)
{
  while (block->incoming)
    {
      VmBlockLink *link = block->incoming;

      block->incoming = link->next_to;
      link->to = NULL;
      link->next_to = NULL;
      code->ops->unlink (code->opaque, link);
    }
}

void
vm_code_unlink (VmCode *code, VmBlockLink *link)
{
  VmBlockLink **at = &link->to->incoming;

  while (*at != link)
    at = &(*at)->next_to;
  *at = link->next_to;
  link->to = NULL;
  link->next_to = NULL;
  code->ops->unlink (code->opaque, link);
}

static void
unlink_outgoing (VmCode *code, VmBlock *block)
{
  for (unsigned i = 0; i < block->n_links; i++)
    if (block->links[i].to)
      vm_code_unlink (code, &block->links[i]);
}

static uint64_t
block_lines (const VmBlock *block)
{
  return vm_code_lines (block->start, MIN (block->end, VM_PAGE_SIZE) - block->start) | block->depends;
}

static void
remove_tail (VmBlock *block)
{
  VmBlock **at;

  if (block->tail_page == NULL)
    return;
  for (at = &block->tail_page->tails; *at && *at != block; at = &(*at)->next_tail)
    ;
  if (*at)
    *at = block->next_tail;
  block->next_tail = NULL;
}

static void
list_remove (VmBlock **list, VmBlock *block)
{
  while (*list && *list != block)
    list = &(*list)->next;
  if (*list)
    *list = block->next;
  block->next = NULL;
}

void
vm_code_add (VmCode *code, VmBlock *block)
{
  block->dead = false;
  block->next = block->page->blocks;
  block->page->blocks = block;
  vm_code_watch (code, block->page, block_lines (block));
  if (block->tail_page)
    {
      block->next_tail = block->tail_page->tails;
      block->tail_page->tails = block;
      vm_code_watch (code, block->tail_page, 1);
    }
  g_hash_table_insert (code->blocks, &block->key, block);
}

/* Out of the live ones. */
static void
kill_block (VmCode *code, VmBlock *block)
{
  VmBlock **recent = &code->recent_block[hash (block->key, RECENT_BLOCKS_BITS)];

  if (*recent == block)
    *recent = NULL;
  unlink_incoming (code, block);
  unlink_outgoing (code, block);
  list_remove (&block->page->blocks, block);
  remove_tail (block);
  g_hash_table_remove (code->blocks, &block->key);
  block->dead = true;
  code->kills++;
  code->ops->killed (code->opaque, block);
}

static void
bury_block (VmBlock *block)
{
  VmCodePage *page = block->page;

  block->next = page->dead;
  page->dead = block;
  if (++page->n_dead > MAX_DEAD)
    {
      VmBlock **last = &page->dead;

      while ((*last)->next)
        last = &(*last)->next;
      (*last)->page = NULL;
      *last = NULL;
      page->n_dead--;
    }
}

VmBlock *
vm_code_revive (VmCode *code, VmCodeView *view, uint64_t key)
{
  VmCodePage *page = view->page;

  for (VmBlock *block = page->dead; block; block = block->next)
    if (block->key == key && block->depends == 0 && block->tail_page == NULL)
      {
        /* Watch first, then compare: later changes are seen. */
        vm_code_watch (code, page, block_lines (block));
        if (!vm_code_page_ready (page) ||
            memcmp (block->bytes, page->host + block->start, block->end - block->start) != 0)
          continue;
        list_remove (&page->dead, block);
        page->n_dead--;
        vm_code_add (code, block);
        return block;
      }
  return NULL;
}

void
vm_code_forget (VmCode *code, VmBlock *block)
{
  if (block->page == NULL)
    return;
  if (!block->dead)
    kill_block (code, block);
  else
    {
      list_remove (&block->page->dead, block);
      block->page->n_dead--;
    }
  block->page = NULL;
}

void
vm_code_invalidate (VmCode *code, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  while (len)
    {
      unsigned start = offset & (VM_PAGE_SIZE - 1);
      unsigned part = MIN (len, VM_PAGE_SIZE - start);
      uint64_t number = page_number (ram, offset), lines = vm_code_lines (start, part);
      VmCodePage *page = find_page (code, number);

      if (page && page->lines & lines)
        {
          VmBlock *next;

          for (VmBlock *block = page->blocks; block; block = next)
            {
              next = block->next;
              if (block_lines (block) & lines)
                {
                  kill_block (code, block);
                  bury_block (block);
                }
            }
          while (lines & 1 && page->tails)
            {
              VmBlock *block = page->tails;

              kill_block (code, block);
              bury_block (block);
            }
          drop_insns (page, lines);
          page->lines &= ~lines;
          page->hits++;
        }
      offset += part;
      len -= part;
    }
}

/* A block killed for one line may be watched by others that stay in page->lines: harmless, they only make
 * a later write look once more. */

uint32_t
vm_code_kills (const VmCode *code)
{
  return code->kills;
}

bool
vm_code_is_full (const VmCode *code)
{
  return code->memory > MAX_MEMORY || code->views->len >= VM_CODE_VIEWS;
}

VmCodeCount
vm_code_count (const VmCode *code)
{
  return code ? (VmCodeCount) { g_hash_table_size (code->pages), g_hash_table_size (code->blocks), code->memory }
              : (VmCodeCount) { 0 };
}

/* --- life -------------------------------------------------------------------------------------- */

void
vm_code_reset (VmCode *code)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, code->pages);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      VmCodePage *page = value;

      while (page->blocks)
        vm_code_forget (code, page->blocks);
      while (page->dead)
        vm_code_forget (code, page->dead);
    }
  g_hash_table_remove_all (code->pages);
  memset (code->recent_page, 0, sizeof code->recent_page);
  g_ptr_array_set_size (code->views, 1);
  code->memory = 0;
  vm_tlb_forget_fetches (vm_tcg_cpu (&code->cpu->env));
}

void
vm_code_set_ops (VmCode *code, const VmCodeOps *ops, void *opaque)
{
  code->ops = ops;
  code->opaque = opaque;
}

VmCode *
vm_code_new (VmCodeShared *shared, VmX86Cpu *cpu, const uint64_t *features)
{
  VmCode *code = g_new0 (VmCode, 1);

  code->shared = shared;
  code->cpu = cpu;
  code->features = features;
  code->pages = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, page_free);
  code->blocks = g_hash_table_new (g_int64_hash, g_int64_equal);
  code->views = g_ptr_array_new ();
  g_ptr_array_add (code->views, NULL); /* number 0 is nobody's */
  code_shared_join (shared, code);
  return code;
}

void
vm_code_free (VmCode *code)
{
  code_shared_leave (code->shared, code);
  vm_code_reset (code);
  g_hash_table_unref (code->pages);
  g_hash_table_unref (code->blocks);
  g_ptr_array_unref (code->views);
  g_free (code);
}
