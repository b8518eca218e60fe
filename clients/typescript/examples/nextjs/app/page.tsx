import { Talk } from './talk';

export default function Page() {
  return <main><h1>Ask her something</h1><Talk /></main>;
}
