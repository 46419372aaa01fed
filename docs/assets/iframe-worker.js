// A browser starts no worker for a page that was opened as a file. The search of this site runs in a hidden frame then.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.scope = this.frame.contentWindow;
      this.scope.postMessage = data => this.dispatchEvent(new MessageEvent("message", {data}));
      this.ready = new Promise((resolve, reject) => {
        const script = this.scope.document.createElement("script");
        Object.assign(script, {src: new URL(url, location.href).href, onload: resolve, onerror: reject});
        this.scope.document.body.append(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.scope.dispatchEvent(new this.scope.MessageEvent("message", {data})));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
