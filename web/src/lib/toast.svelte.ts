/** Short messages at the lower edge; at most three, each ten seconds. Errors go beside their field. */

export interface ToastMessage {
  id: number;
  text: string;
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 10_000;
const SHOWN_MAX = 3;
let next = 1;

class Toasts {
  list = $state.raw<readonly ToastMessage[]>([]);

  show(text: string, action?: ToastMessage["action"]): void {
    const id = next++;
    const message: ToastMessage = action === undefined ? { id, text } : { id, text, action };
    this.list = [...this.list, message].slice(-SHOWN_MAX);
    setTimeout(() => this.close(id), SHOWN_MS);
  }

  close(id: number): void {
    this.list = this.list.filter((m) => m.id !== id);
  }
}

export const toasts = new Toasts();
