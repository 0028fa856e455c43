/** The responder of the contestant `nats`: gives each payload back to where the request says. */
import { createFramePublisher } from '../../../packages/shared/src/nats/frames.js';
import { serveCalls } from '../child.js';
import { connectBare } from './bare-connection.js';
import { echoSubject } from './bare-names.js';

serveCalls(async ({ url }: { readonly url: string }) => {
  const connection = await connectBare(url);
  const frames = createFramePublisher(connection);
  connection.subscribe(echoSubject, {
    callback: (error, message) => {
      if (error !== null || message.reply === undefined) return;
      frames.publish({ subject: message.reply, reply: '', headers: '', payload: message.data });
    },
  });
  await connection.flush();
});
