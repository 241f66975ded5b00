/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of RAM pages that any vCPU holds decoded or translated code from. */
#include "engine/tcg/code/code-private.h"

struct VmCodeShared {
  VmMemory   *memory;
  GMutex      mutex;   /* a leaf: nothing else is taken under it */
  GHashTable *pages;   /* number of the RAM page -> SharedPage */
  GPtrArray  *codes;   /* VmCode of each vCPU */
};

/* A page that is written and holds code nobody runs any more would keep every store slow. So after some misses
 * all its code is dropped, and what comes back is given twice as many. */
#define FIRST_PATIENCE 64
#define MAX_PATIENCE   (1u << 20)
#define FLAG_STAYS     16

typedef struct SharedPage {
  uint64_t  lines;
  unsigned  misses, patience;
  CodeWait *wait;      /* owned reference or NULL */
} SharedPage;

typedef struct Work {
  VmCode     *code;
  VmRamBlock *ram;
  uint64_t    offset, len;
  CodeWait   *wait;
} Work;

static uint64_t
page_number (const VmRamBlock *ram, uint64_t offset)
{
  return ram->page_base + (offset >> VM_PAGE_SHIFT);
}

void
code_wait_unref (CodeWait *wait)
{
  if (g_atomic_int_dec_and_test (&wait->refs))
    g_free (wait);
}

static void
shared_page_free (gpointer data)
{
  SharedPage *page = data;

  g_clear_pointer (&page->wait, code_wait_unref);
  g_free (page);
}

static Work *
work_new (VmCode *code, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  Work *work = g_new0 (Work, 1);

  work->code = code;
  work->ram = vm_ram_block_ref (ram);
  work->offset = offset;
  work->len = len;
  return work;
}

static void
work_free (Work *work)
{
  vm_ram_block_unref (work->ram);
  g_free (work);
}

static void
invalidate_work (VmVcpu *vcpu, void *opaque)
{
  Work *work = opaque;

  if (vm_tcg_cpu (&((VmX86Cpu *) vcpu)->env)->code == work->code)
    vm_code_invalidate (work->code, work->ram, work->offset, work->len);
  work_free (work);
}

static void
protect_work (VmVcpu *vcpu, void *opaque)
{
  Work *work = opaque;
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;

  if (vm_tcg_cpu (env)->code == work->code)
    vm_tlb_protect_ram (env, work->ram, work->offset, work->len);
  g_atomic_int_add (&work->wait->remaining, -1);
  code_wait_unref (work->wait);
  work_free (work);
}

/* Posts FUNC to all vCPUs but SELF. The list only changes while no vCPU runs. */
static int
post_others (VmCodeShared *shared, VmCode *self, VmVcpuWork func, VmRamBlock *ram, uint64_t offset,
             uint64_t len, CodeWait *wait)
{
  g_autoptr (GPtrArray) others = NULL;
  int n = 0;

  g_mutex_lock (&shared->mutex);
  if (shared->codes->len > (self != NULL))
    {
      others = g_ptr_array_new ();
      for (unsigned i = 0; i < shared->codes->len; i++)
        if (shared->codes->pdata[i] != self)
          g_ptr_array_add (others, shared->codes->pdata[i]);
    }
  g_mutex_unlock (&shared->mutex);
  if (others == NULL)
    return 0;
  if (wait)
    {
      g_atomic_int_add (&wait->remaining, others->len);
      g_atomic_int_add (&wait->refs, others->len);
    }
  for (unsigned i = 0; i < others->len; i++, n++)
    {
      VmCode *code = others->pdata[i];
      Work *work = work_new (code, ram, offset, len);

      work->wait = wait;
      if (code->cpu->parent.set)
        vm_vcpu_post (&code->cpu->parent, func, work);
      else
        func (&code->cpu->parent, work); /* no thread of its own: a test's */
    }
  return n;
}

void
code_shared_claim (VmCode *code, VmCodePage *page, uint64_t lines)
{
  VmCodeShared *shared = code->shared;
  uint64_t number = page_number (page->ram, page->offset);
  CodeWait *wait = NULL;
  SharedPage *entry;
  uint8_t flags;

  g_mutex_lock (&shared->mutex);
  entry = g_hash_table_lookup (shared->pages, &number);
  if (entry == NULL)
    {
      entry = g_new0 (SharedPage, 1);
      entry->patience = FIRST_PATIENCE;
      g_hash_table_insert (shared->pages, g_memdup2 (&number, sizeof number), entry);
    }
  entry->lines |= lines;
  flags = __atomic_fetch_or (&page->ram->page_flags[page->offset >> VM_PAGE_SHIFT], VM_PAGE_CODE,
                             __ATOMIC_SEQ_CST);
  if (!(flags & VM_PAGE_CODE) && shared->codes->len > 1)
    {
      wait = g_new0 (CodeWait, 1);
      wait->refs = 2;      /* the entry's and this function's */
      wait->remaining = 1; /* until all are posted */
      g_clear_pointer (&entry->wait, code_wait_unref);
      entry->wait = wait;
    }
  if (entry->wait && g_atomic_int_get (&entry->wait->remaining) > 0)
    {
      g_clear_pointer (&page->wait, code_wait_unref);
      g_atomic_int_inc (&entry->wait->refs);
      page->wait = entry->wait;
    }
  g_mutex_unlock (&shared->mutex);

  if (!(flags & VM_PAGE_CODE))
    vm_tlb_protect_ram (&code->cpu->env, page->ram, page->offset, VM_PAGE_SIZE);
  if (wait)
    {
      post_others (shared, code, protect_work, page->ram, page->offset, VM_PAGE_SIZE, wait);
      g_atomic_int_add (&wait->remaining, -1);
      code_wait_unref (wait);
    }
}

/* Which lines of the page have to be dropped after a write to LINES; they are taken out of the table. */
static uint64_t
take_lines (VmCodeShared *shared, VmRamBlock *ram, uint64_t offset, uint64_t lines)
{
  uint64_t number = page_number (ram, offset), hit = 0;
  SharedPage *entry;

  g_mutex_lock (&shared->mutex);
  entry = g_hash_table_lookup (shared->pages, &number);
  if (entry)
    {
      hit = entry->lines & lines;
      if (hit == 0 && ++entry->misses >= entry->patience)
        {
          hit = entry->lines;
          entry->misses = 0;
          entry->patience = MIN (entry->patience * 2, MAX_PATIENCE);
        }
      else if (hit)
        entry->misses = 0;
      entry->lines &= ~hit;
    }
  /* The flag stays for a while when code was just patched: it is likely to be run and patched again. */
  if (entry == NULL || (entry->lines == 0 && hit == 0 && entry->misses >= FLAG_STAYS))
    __atomic_fetch_and (&ram->page_flags[offset >> VM_PAGE_SHIFT], (uint8_t) ~VM_PAGE_CODE, __ATOMIC_SEQ_CST);
  g_mutex_unlock (&shared->mutex);
  return hit;
}

/* The page's part of what HIT covers. */
static void
drop_lines (VmCodeShared *shared, VmCode *self, VmRamBlock *ram, uint64_t page, uint64_t hit)
{
  unsigned first = __builtin_ctzll (hit), last = 63 - __builtin_clzll (hit);
  uint64_t offset = page + first * 64, len = (last - first + 1) * 64;

  if (self)
    vm_code_invalidate (self, ram, offset, len);
  post_others (shared, self, invalidate_work, ram, offset, len, NULL);
}

static void
written (VmCodeShared *shared, VmCode *self, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  while (len)
    {
      unsigned start = offset & (VM_PAGE_SIZE - 1);
      unsigned part = MIN (len, VM_PAGE_SIZE - start);

      if (__atomic_load_n (&ram->page_flags[offset >> VM_PAGE_SHIFT], __ATOMIC_ACQUIRE) & VM_PAGE_CODE)
        {
          uint64_t hit = take_lines (shared, ram, offset, vm_code_lines (start, part));

          if (hit)
            drop_lines (shared, self, ram, offset - start, hit);
        }
      offset += part;
      len -= part;
    }
}

void
vm_code_written (VmX86Env *env, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  VmCode *code = vm_tcg_cpu (env)->code;

  if (code)
    written (code->shared, code, ram, offset, len);
}

/* The memory bus: DMA, loaders, debuggers; perhaps on a vCPU's thread, inside its device access. */
static void
bus_written (void *opaque, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  VmCodeShared *shared = opaque;
  VmVcpu *vcpu = vm_vcpu_current ();
  VmCode *self = NULL;

  if (vcpu)
    {
      VmCode *code = vm_tcg_cpu (&((VmX86Cpu *) vcpu)->env)->code;

      if (code && code->shared == shared)
        self = code;
    }
  written (shared, self, ram, offset, len);
}

static void
reset_work (VmVcpu *vcpu, void *opaque)
{
  if (vm_tcg_cpu (&((VmX86Cpu *) vcpu)->env)->code == opaque)
    vm_code_reset (opaque);
}

void
code_shared_join (VmCodeShared *shared, VmCode *code)
{
  VmCode *was_alone;

  g_mutex_lock (&shared->mutex);
  was_alone = shared->codes->len == 1 ? shared->codes->pdata[0] : NULL;
  g_ptr_array_add (shared->codes, code);
  g_mutex_unlock (&shared->mutex);
  /* Its blocks were translated without LOCK. */
  if (was_alone && was_alone->cpu->parent.set)
    vm_vcpu_post (&was_alone->cpu->parent, reset_work, was_alone);
}

void
code_shared_leave (VmCodeShared *shared, VmCode *code)
{
  g_mutex_lock (&shared->mutex);
  g_ptr_array_remove (shared->codes, code);
  g_mutex_unlock (&shared->mutex);
}

unsigned
vm_code_n_cpus (VmCode *code)
{
  VmCodeShared *shared = code->shared;
  unsigned n;

  g_mutex_lock (&shared->mutex);
  n = shared->codes->len;
  g_mutex_unlock (&shared->mutex);
  return n;
}

VmCodeShared *
vm_code_shared_new (VmMemory *memory)
{
  VmCodeShared *shared = g_new0 (VmCodeShared, 1);

  shared->memory = memory;
  g_mutex_init (&shared->mutex);
  shared->pages = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, shared_page_free);
  shared->codes = g_ptr_array_new ();
  if (memory)
    vm_memory_set_code_hook (memory, bus_written, shared);
  return shared;
}

void
vm_code_shared_free (VmCodeShared *shared)
{
  if (shared->memory)
    vm_memory_set_code_hook (shared->memory, NULL, NULL);
  g_hash_table_unref (shared->pages);
  g_ptr_array_unref (shared->codes);
  g_mutex_clear (&shared->mutex);
  g_free (shared);
}

/* What is still to be protected goes along: the display clears many runs of pages at once. */
static void
dirty_work (VmVcpu *vcpu, void *opaque)
{
  Work *work = opaque;
  VmX86Env *env = &((VmX86Cpu *) vcpu)->env;
  VmCode *code = vm_tcg_cpu (env)->code;

  if (code == work->code)
    {
      g_mutex_lock (&code->shared->mutex);
      if (code->protecting == work)
        code->protecting = NULL;
      g_mutex_unlock (&code->shared->mutex);
      vm_tlb_protect_ram (env, work->ram, work->offset, work->len);
    }
  work_free (work);
}

/* The work to post for CODE; NULL: what is posted already does it. Mutex held. */
static Work *
add_protection (VmCode *code, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  Work *work = code->protecting;

  if (work && work->ram == ram)
    {
      uint64_t from = MIN (work->offset, offset), to = MAX (work->offset + work->len, offset + len);

      work->offset = from;
      work->len = to - from;
      return NULL;
    }
  return code->protecting = work_new (code, ram, offset, len);
}

void
vm_code_shared_protect (VmCodeShared *shared, VmRamBlock *ram, uint64_t offset, uint64_t len)
{
  g_autoptr (GPtrArray) posts = NULL;

  g_mutex_lock (&shared->mutex);
  for (unsigned i = 0; i < shared->codes->len; i++)
    {
      VmCode *code = shared->codes->pdata[i];
      Work *work = code->cpu->parent.set ? add_protection (code, ram, offset, len) : NULL;

      if (!work)
        continue;
      if (!posts)
        posts = g_ptr_array_new ();
      g_ptr_array_add (posts, work);
    }
  g_mutex_unlock (&shared->mutex);
  for (unsigned i = 0; posts && i < posts->len; i++)
    {
      Work *work = posts->pdata[i];

      vm_vcpu_post (&work->code->cpu->parent, dirty_work, work);
    }
}

void
vm_code_shared_poll (VmCodeShared *shared)
{
  g_mutex_lock (&shared->mutex);
  for (unsigned i = 0; i < shared->codes->len; i++)
    {
      VmCode *code = shared->codes->pdata[i];

      __atomic_fetch_or (&code->cpu->env.poll, VM_POLL_FLUSH, __ATOMIC_SEQ_CST);
    }
  g_mutex_unlock (&shared->mutex);
}
