// Read a plane of each level of an OME-Zarr as Viv, which draws for Vizarr and Avivator, does.
// Arguments: the folder that Viv's loaders are installed in, the address of the volume, the plane.
const [folder, address, z] = process.argv.slice(2);
const { loadOmeZarr } = await import(`${folder}/node_modules/@vivjs/loaders/dist/index.mjs`);
const { data } = await loadOmeZarr(address, { type: "multiscales" });
const planes = [];
for (const level of data) {
  const plane = await level.getRaster({ selection: { z: Number(z) } });
  planes.push({ labels: level.labels, shape: level.shape, values: [...plane.data] });
}
console.log(JSON.stringify(planes));
